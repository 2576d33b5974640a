{% if mistakes %}
(() => {
  // Shows the images of a cell of the confusion matrix. Arrow keys go from a cell to the next one that has images.
  const data = {{ {"names": mistakes.matrix.names, "cells": mistakes.matrix.cells} | tojson }};
  const section = document.getElementById("mistakes");
  const panel = section.querySelector(".cell");
  const drawing = section.querySelector("svg.matrix");
  const readout = section.querySelector(".readout");
  const cells = data.cells.map(([row, column, count, images]) => ({ row, column, count, images }));
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function title(cell) {
    const given = make("bdi", { textContent: data.names[cell.row] });
    const count = `: ${cell.count.toLocaleString("en")} ${cell.count === 1 ? "image" : "images"}`;
    if (cell.row === cell.column) return [given, " recognised", count];
    return [given, " taken for ", make("bdi", { textContent: data.names[cell.column] }), count];
  }

  function picture([path, probability, sheet, x, y]) {
    const tile = make("span", { className: "thumbnail", title: path });
    if (sheet !== undefined) {
      tile.classList.add(`sheet-${sheet}`);
      tile.style.backgroundPosition = `-${x}px -${y}px`;
    }
    return make("li", {}, tile, make("b", { textContent: probability }), make("bdi", { className: "path", textContent: path }));
  }

  function show(cell) {
    const more = (cell.count - cell.images.length).toLocaleString("en");
    const text = cell.images.length ? `and ${more} more: see predictions.parquet` : "Not on this page: see predictions.parquet";
    const rest = more === "0" ? [] : [make("p", { className: "soft", textContent: text })];
    panel.replaceChildren(
      make("h3", {}, ...title(cell)),
      make("ul", { className: "grid" }, ...cell.images.map(picture)),
      ...rest,
    );
    panel.hidden = false;
  }

  // The next cell in the direction of a key, or the same one at the end of its row or column.
  function next(cell, [down, right]) {
    const ahead = cells.filter((other) => down
      ? other.column === cell.column && (other.row - cell.row) * down > 0
      : other.row === cell.row && (other.column - cell.column) * right > 0);
    const distance = (other) => Math.abs(other.row - cell.row) + Math.abs(other.column - cell.column);
    return ahead.reduce((best, other) => (best && distance(best) <= distance(other) ? best : other), null) || cell;
  }

  function followKeys(element, current, choose) {
    element.addEventListener("keydown", (event) => {
      if (!steps[event.key]) return;
      event.preventDefault();
      choose(next(current(), steps[event.key]));
    });
  }

  function useTable() {
    const buttons = new Map();
    for (const cell of cells) {
      const place = section.querySelector(`[data-cell="${cell.row}-${cell.column}"]`);
      const button = make("button", { type: "button", textContent: place.textContent, tabIndex: -1 });
      button.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-label", title(cell).map((part) => part.textContent ?? part).join(""));
      button.addEventListener("click", () => {
        for (const other of buttons.values()) other.setAttribute("aria-pressed", String(other === button));
        focus(cell);
        show(cell);
      });
      followKeys(button, () => cell, focus);
      buttons.set(cell, button);
      place.replaceChildren(button);
    }
    // The table is one stop of the Tab key.
    function focus(cell) {
      for (const [other, button] of buttons) button.tabIndex = other === cell ? 0 : -1;
      buttons.get(cell).focus();
    }
    buttons.get(cells[0]).tabIndex = 0;
  }

  function useDrawing() {
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    cursor.setAttribute("class", "cursor");
    let current = cells[0];
    function point(cell) {
      current = cell;
      for (const [name, value] of Object.entries({ x: cell.column, y: cell.row, width: 1, height: 1 })) cursor.setAttribute(name, value);
      drawing.append(cursor);
      readout.replaceChildren(...title(cell));
    }
    // The nearest cell, since those of many classes are small.
    function under(event) {
      const box = drawing.getBoundingClientRect();
      const column = ((event.clientX - box.left) / box.width) * data.names.length - 0.5;
      const row = ((event.clientY - box.top) / box.height) * data.names.length - 0.5;
      const distance = (cell) => (cell.row - row) ** 2 + (cell.column - column) ** 2;
      return cells.reduce((best, cell) => (distance(cell) < distance(best) ? cell : best));
    }
    drawing.tabIndex = 0;
    drawing.setAttribute("role", "application");
    drawing.addEventListener("pointermove", (event) => point(under(event)));
    drawing.addEventListener("focus", () => point(current));
    drawing.addEventListener("click", (event) => { point(under(event)); show(current); });
    drawing.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      show(current);
    });
    followKeys(drawing, () => current, (cell) => { point(cell); show(cell); });
  }

  section.classList.add("scripted");
  if (drawing) useDrawing(); else useTable();
})();
{% endif %}
