// The page: pictures in, cards with answers out. Text from data is set as text, never as HTML.

import { draw as drawHeat, occlude } from "./heatmap.js";
import { Model } from "./model.js";
import { decode, shrink, toRgba } from "./picture.js";
import { loadSimilar } from "./similar.js";

const SHOWN = 5;
const SIMILAR = 6;
const DISPLAYED_SIDE = 900;

const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const model = new Model();
let facts;
let similar;
let lastPicture = 0;
let queue = Promise.resolve();

async function start() {
  facts = await (await fetch("model.json")).json();
  showFacts();
  [similar] = await Promise.all([loadSimilar(facts), model.ready]);
  byId("summary").textContent = facts.summary;
  document.body.dataset.state = "ready";
}

function showFacts() {
  for (const [name, value] of facts.facts) {
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value;
    byId("facts").append(term, description);
  }
}

function take(files) {
  for (const file of files) queue = queue.then(() => answer(file)).catch((error) => say(file, error));
}

function say(file, error) {
  byId("message").textContent = `${file.name || "The picture"} has no answer: ${error.message}.`;
}

async function answer(file) {
  byId("message").textContent = "";
  const picture = await decode(file);
  const number = ++lastPicture;
  const outputs = await model.run(picture, ["probabilities", "known", "features"]);
  const card = byId("result").content.firstElementChild.cloneNode(true);
  const part = (name) => card.querySelector(`.${name}`);
  const ranked = [...outputs.probabilities.keys()].sort(
    (one, other) => outputs.probabilities[other] - outputs.probabilities[one],
  );

  const shown = shrink(picture, DISPLAYED_SIDE);
  const canvas = part("pixels");
  canvas.width = shown.width;
  canvas.height = shown.height;
  canvas.getContext("2d").putImageData(toRgba(shown), 0, 0);
  const reduced = picture.reduced ? `, reduced to ${picture.width} x ${picture.height} pixels` : "";
  part("name").textContent = (file.name || "pasted picture") + reduced;

  showVerdict(part, outputs, ranked);
  showBars(part, outputs.probabilities, ranked);
  if (similar && outputs.features) showSimilar(part, outputs.features);
  part("explain").onclick = () => explain(part, picture, shown, ranked[0], number);

  card.dataset.probabilities = JSON.stringify([...outputs.probabilities]);
  if (outputs.known) card.dataset.known = String(outputs.known[0]);
  byId("results").prepend(card);
}

function showVerdict(part, outputs, ranked) {
  const best = facts.classes[ranked[0]];
  const share = percent(outputs.probabilities[ranked[0]]);
  const known = outputs.known?.[0];
  if (known !== undefined && facts.threshold !== null && known < facts.threshold) {
    part("verdict").classList.add("unknown");
    part("verdict").textContent = "Unknown";
    part("explanation").textContent =
      `The picture is unlike the training images, so do not trust the answer, which would be ${best}, ${share}.`;
  } else {
    part("verdict").textContent = best;
    part("explanation").textContent = `${share} sure`;
  }
}

function showBars(part, probabilities, ranked) {
  const list = part("bars");
  const show = (count) => {
    list.replaceChildren(
      ...ranked.slice(0, count).map((index) => {
        const item = document.createElement("li");
        for (const name of ["fill", "label", "share"]) {
          const span = document.createElement("span");
          span.className = name;
          item.append(span);
        }
        item.children[0].style.width = `${100 * probabilities[index]}%`;
        item.children[1].textContent = facts.classes[index];
        item.children[2].textContent = percent(probabilities[index]);
        return item;
      }),
    );
  };
  show(SHOWN);
  const more = part("more");
  if (ranked.length > SHOWN) {
    more.hidden = false;
    more.textContent = `All ${ranked.length} classes`;
    more.onclick = () => {
      show(ranked.length);
      more.hidden = true;
    };
  }
}

function showSimilar(part, features) {
  part("similar").hidden = false;
  for (const index of similar.nearest(features, SIMILAR)) {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.title = similar.items[index].path;
    similar.draw(canvas, index);
    const label = document.createElement("span");
    label.textContent = similar.items[index].label;
    item.append(canvas, label);
    part("similar").querySelector("ul").append(item);
  }
}

async function explain(part, picture, shown, classIndex, number) {
  const button = part("explain");
  const heat = part("heat");
  if (heat.dataset.drawn) {
    heat.hidden = part("legend").hidden = !heat.hidden;
    return;
  }
  button.disabled = true;
  const onProgress = (share) => (button.textContent = `Looking … ${Math.round(100 * share)} %`);
  const losses = await occlude(model, picture, classIndex, onProgress, () => number !== lastPicture);
  button.disabled = false;
  button.textContent = "Where did it look?";
  if (!losses) return; // a newer picture needs the model
  drawHeat(heat, losses, shown);
  heat.dataset.drawn = "true";
  heat.hidden = part("legend").hidden = false;
}

for (const id of ["choose", "photograph"]) {
  byId(id).onchange = (event) => {
    take([...event.target.files]);
    event.target.value = "";
  };
}
const drop = byId("drop");
document.ondragover = (event) => {
  event.preventDefault();
  drop.classList.add("over");
};
document.ondragleave = () => drop.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take([...event.dataTransfer.files]);
};
document.onpaste = (event) => take([...event.clipboardData.files]);

start().catch((error) => {
  byId("summary").textContent = `The model cannot be loaded: ${error.message}.`;
  document.body.dataset.state = "failed";
});
