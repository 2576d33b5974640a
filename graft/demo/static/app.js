// The page: takes pictures and answers them one after the other, each on a card of its own.

import { Card } from "./card.js";
import { load } from "./files.js";
import { Model } from "./model.js";
import { decode, givesExactPixels, toRgb } from "./picture.js";
import { loadSimilar } from "./similar.js";

const MEGABYTE = 1e6;

const byId = (id) => document.getElementById(id);
const say = (text) => (byId("message").textContent = text);

document.body.dataset.state = "loading";
const model = new Model((size) => {
  byId("summary").textContent = `Loading the model … ${(size / MEGABYTE).toFixed(1)} MB`;
});
const started = start();
let queue = Promise.resolve();

// Loads what answers need, and returns it: {facts, similar, model}.
async function start() {
  const facts = await (await load("model.json")).json();
  showFacts(facts);
  const [similar] = await Promise.all([loadSimilar(facts), model.ready]);
  byId("summary").textContent = facts.summary;
  if (!givesExactPixels()) {
    byId("notice").hidden = false;
    byId("notice").textContent =
      "This browser changes the pixels that pages read, as a protection against tracking. The answers may be wrong: " +
      "switch the protection off for this page, or use another browser.";
  }
  document.body.dataset.state = "ready";
  return { facts, similar, model };
}

function showFacts(facts) {
  for (const [name, value] of facts.facts) {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value;
    row.append(term, description);
    byId("facts").append(row);
  }
}

function take(files, source) {
  say(files.length ? "" : `There is no picture in what you ${source}.`);
  if (!files.length) return;
  document.body.dataset.used = "true";
  Card.stopHeatmap();
  for (const file of files) queue = queue.then(() => answer(file));
}

async function answer(file) {
  const card = new Card(file.name || "Pasted picture");
  byId("results").prepend(card.element);
  try {
    const tools = await started;
    const picture = await decode(file);
    card.showPicture(picture);
    const outputs = await model.run(toRgb(picture.canvas), ["probabilities", "known", "features"]);
    card.showAnswer(outputs, tools);
  } catch (error) {
    card.showError(error);
  }
}

for (const id of ["choose", "photograph"]) {
  byId(id).onchange = (event) => {
    take([...event.target.files], "chose");
    event.target.value = ""; // so that the same picture can be chosen again
  };
}

let depth = 0; // of elements that a dragged file has entered: each of the page reports its own entering and leaving
document.ondragenter = () => byId("drop").classList.toggle("over", ++depth > 0);
document.ondragleave = () => byId("drop").classList.toggle("over", --depth > 0);
document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => {
  event.preventDefault();
  depth = 0;
  byId("drop").classList.remove("over");
  take([...event.dataTransfer.files], "dropped");
};
document.onpaste = (event) => take([...event.clipboardData.files], "pasted");

started.catch((error) => {
  byId("summary").textContent = `The model cannot be loaded: ${error.message}.`;
  document.body.dataset.state = "failed";
});
