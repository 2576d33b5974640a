{% if feature_map %}
(() => {
  // Shows the image of the nearest mark, and lights up the marks of a class.
  const data = {{ {"names": feature_map.classes | map("first") | list, "dots": feature_map.dots} | tojson }};
  const section = document.getElementById("feature_map");
  const plane = section.querySelector(".plane");
  const chosen = section.querySelector(".chosen");
  const marks = [...plane.querySelectorAll(".dot")];
  const places = marks.map((mark) => [Number(mark.getAttribute("x")), Number(mark.getAttribute("y"))]);
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  cursor.setAttribute("class", "chosen-dot");
  cursor.setAttribute("r", "11");

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function show(number) {
    const [label, predicted, path, sheet, x, y] = data.dots[number];
    const tile = make("span", { className: "thumbnail", title: path });
    if (sheet !== undefined) {
      tile.classList.add(`sheet-${sheet}`);
      tile.style.backgroundPosition = `-${x}px -${y}px`;
    }
    const lines = [tile, make("b", {}, make("bdi", { textContent: data.names[label] }))];
    if (predicted >= 0 && predicted !== label) {
      lines.push(make("div", {}, "predicted: ", make("bdi", { textContent: data.names[predicted] })));
    }
    lines.push(make("div", { className: "soft" }, make("bdi", { textContent: path })));
    chosen.replaceChildren(...lines);
    cursor.setAttribute("cx", places[number][0]);
    cursor.setAttribute("cy", places[number][1]);
    plane.append(cursor);
  }

  function nearest(event) {
    const box = plane.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * {{ feature_map.side }};
    const y = ((event.clientY - box.top) / box.height) * {{ feature_map.side }};
    const distance = ([left, top]) => (left - x) ** 2 + (top - y) ** 2;
    return places.reduce((best, place, number) => (distance(place) < distance(places[best]) ? number : best), 0);
  }

  plane.addEventListener("pointermove", (event) => show(nearest(event)));
  plane.addEventListener("click", (event) => show(nearest(event)));

  const buttons = [...section.querySelectorAll(".legend li")].map((item, label) => {
    const button = make("button", { type: "button" }, ...item.childNodes);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const lit = button.getAttribute("aria-pressed") === "false";
      for (const other of buttons) other.setAttribute("aria-pressed", String(lit && other === button));
      plane.classList.toggle("lit", lit);
      marks.forEach((mark, number) => mark.classList.toggle("on", lit && data.dots[number][0] === label));
    });
    item.replaceChildren(button);
    return button;
  });
})();
{% endif %}
