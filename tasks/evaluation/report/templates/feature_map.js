{% if feature_map %}
(() => {
  // Shows the image of the nearest mark, and lights up the marks of a class. Arrow keys go from a mark to the next one.
  const data = {{ {"names": feature_map.classes | map(attribute="name") | map("clip", 40) | list, "dots": feature_map.dots} | tojson }};
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

  // The nearest mark within the quarter of the plane to which a key points.
  function ahead(number, [right, down]) {
    const [x, y] = places[number];
    const steps = places.map(([left, top]) => [(left - x) * right + (top - y) * down, Math.abs((left - x) * down) + Math.abs((top - y) * right)]);
    const distance = ([along, across]) => along > 0 && across <= along ? along + across : Infinity;
    return steps.reduce((best, step, other) => (distance(step) < distance(steps[best]) ? other : best), number);
  }

  let current = 0;
  function choose(number) {
    current = number;
    show(number);
  }
  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  chosen.append(make("p", { className: "soft", textContent: "Point at a mark, or use the arrow keys, to see its image. Choose a class to light it up." }));
  plane.tabIndex = 0;
  plane.setAttribute("role", "application");
  plane.addEventListener("pointermove", (event) => choose(nearest(event)));
  plane.addEventListener("click", (event) => choose(nearest(event)));
  plane.addEventListener("focus", () => choose(current));
  plane.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    choose(ahead(current, keys[event.key]));
  });

  const names = [...section.querySelectorAll(".name")];
  const hidden = names.map((name) => name.hidden);
  const buttons = [...section.querySelectorAll(".legend li")].map((item, label) => {
    const button = make("button", { type: "button" }, ...item.childNodes);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const lit = button.getAttribute("aria-pressed") === "false";
      for (const other of buttons) other.setAttribute("aria-pressed", String(lit && other === button));
      plane.classList.toggle("lit", lit);
      names.forEach((name, other) => { name.hidden = lit ? other !== label : hidden[other]; });
      marks.forEach((mark, number) => mark.classList.toggle("on", lit && data.dots[number][0] === label));
    });
    item.replaceChildren(button);
    return button;
  });
})();
{% endif %}
