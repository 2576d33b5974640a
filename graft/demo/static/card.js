// The card of a picture: the picture, the answer, and the reasons for it. Text from data is set as text, never as HTML.

import { draw, isClear, occlude } from "./heatmap.js";
import { reduce, toRgb } from "./picture.js";

const SHOWN_CLASSES = 5;
const SHOWN_SIMILAR = 6;
const SHOWN_SIDE = 900;
const HEATMAP_SIDE = 448;

const EXPLAIN = "Where does it look?";

// Only one heatmap is computed at a time; whoever raises this number stops it.
let heatmapTurn = 0;

export class Card {
  // Stops the heatmap that is being computed, if there is one.
  static stopHeatmap() {
    heatmapTurn++;
  }

  constructor(name) {
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.part("name").textContent = name;
    this.part("pixels").ariaLabel = name;
  }

  part(name) {
    return this.element.querySelector(`.${name}`);
  }

  showPicture({ canvas, reduced }) {
    const shown = reduce(canvas, SHOWN_SIDE);
    const pixels = this.part("pixels");
    pixels.width = shown.width;
    pixels.height = shown.height;
    pixels.getContext("2d").drawImage(shown, 0, 0);
    this.part("size").textContent = `${canvas.width} × ${canvas.height} pixels${reduced ? ", reduced to fit" : ""}`;
    // The full picture is not kept: dozens of photographs would fill the memory.
    this.small = toRgb(reduce(canvas, HEATMAP_SIDE));
  }

  showError(error) {
    this.element.ariaBusy = "false";
    this.element.classList.add("failed");
    this.part("verdict").textContent = "No answer";
    this.part("explanation").textContent = `${this.part("name").textContent}: ${error.message}.`;
  }

  showAnswer({ probabilities, known, features }, { facts, similar, model }) {
    const ranked = [...probabilities.keys()].sort((left, right) => probabilities[right] - probabilities[left]);
    this.#showVerdict(facts, ranked[0], probabilities, known?.[0]);
    this.#showBars(facts, ranked, probabilities);
    if (similar && features) this.#showSimilar(similar, features);
    this.part("reason").hidden = false;
    this.part("explain").onclick = () => this.#explain(model, ranked[0], facts.classes[ranked[0]]);
    this.element.dataset.probabilities = JSON.stringify([...probabilities]);
    if (known) this.element.dataset.known = String(known[0]);
    this.element.ariaBusy = "false";
  }

  #showVerdict({ classes, threshold }, best, probabilities, known) {
    const share = percent(probabilities[best]);
    const isUnknown = known !== undefined && threshold !== null && known < threshold;
    this.element.classList.toggle("unknown", isUnknown);
    this.part("verdict").textContent = isUnknown ? "Unknown" : classes[best];
    this.part("explanation").textContent = isUnknown
      ? `This picture is unlike those that the model was trained on: its resemblance to them is ${known.toFixed(2)}, ` +
        `and counts as known from ${threshold.toFixed(2)} on. The model would guess ${classes[best]} (${share}), but do ` +
        "not rely on it."
      : `${share} sure`;
  }

  #showBars({ classes }, ranked, probabilities) {
    const fill = (count) =>
      this.part("bars").replaceChildren(...ranked.slice(0, count).map((index) => bar(classes[index], probabilities[index])));
    fill(SHOWN_CLASSES);
    if (ranked.length <= SHOWN_CLASSES) return;
    const more = this.part("more");
    const all = `All ${ranked.length.toLocaleString("en")} classes`;
    more.hidden = false;
    more.textContent = all;
    more.onclick = () => {
      const expand = more.ariaExpanded === "false";
      fill(expand ? ranked.length : SHOWN_CLASSES);
      more.ariaExpanded = String(expand);
      more.textContent = expand ? `The first ${SHOWN_CLASSES} classes` : all;
    };
  }

  #showSimilar(similar, features) {
    const items = similar.nearest(features, SHOWN_SIMILAR).map((index) => {
      const { label, path } = similar.items[index];
      const item = document.createElement("li");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("span");
      similar.draw(canvas, index);
      canvas.title = path;
      canvas.ariaHidden = "true";
      caption.textContent = label;
      item.append(canvas, caption);
      return item;
    });
    this.part("similar").querySelector("ul").replaceChildren(...items);
    this.part("similar").hidden = false;
  }

  // Computes the heatmap, stops computing it, or shows and hides the finished one.
  async #explain(model, classIndex, label) {
    const [button, progress, legend, heat] = ["explain", "progress", "legend", "heat"].map((name) => this.part(name));
    if (!progress.hidden) {
      Card.stopHeatmap();
      return;
    }
    if (this.losses) {
      this.#showHeatmap(heat.hidden);
      return;
    }
    const turn = ++heatmapTurn;
    button.textContent = "Stop";
    legend.textContent = "";
    progress.value = 0;
    progress.hidden = false;
    try {
      const isStopped = () => turn !== heatmapTurn;
      const losses = await occlude(model, this.small, classIndex, (share) => (progress.value = share), isStopped);
      if (losses === null) {
        legend.textContent = "Stopped.";
      } else if (!isClear(losses)) {
        legend.textContent = "No single place decides: with any part of the picture covered, the answer stays the same.";
      } else {
        this.losses = losses;
        this.legend = `Clear: places that speak for ${label}. Veiled: places that the answer can do without.`;
      }
    } catch (error) {
      legend.textContent = `The picture cannot be explained: ${error.message}.`;
    }
    progress.hidden = true;
    button.textContent = EXPLAIN;
    if (this.losses) {
      draw(heat, this.losses, this.part("pixels"));
      this.#showHeatmap(true);
    }
  }

  #showHeatmap(visible) {
    this.part("heat").hidden = !visible;
    this.part("explain").ariaPressed = String(visible);
    this.part("explain").textContent = visible ? "Show the picture" : EXPLAIN;
    this.part("legend").textContent = visible ? this.legend : "";
  }
}

function bar(label, probability) {
  const item = document.createElement("li");
  for (const [name, text] of [["label", label], ["share", percent(probability)], ["track", ""]]) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    item.append(span);
  }
  const fill = document.createElement("span");
  fill.style.width = `${100 * probability}%`;
  item.lastChild.append(fill);
  return item;
}

function percent(share) {
  if (share < 0.001) return "< 0.1%";
  if (share > 0.999) return "> 99.9%";
  return `${(100 * share).toFixed(1)}%`;
}
