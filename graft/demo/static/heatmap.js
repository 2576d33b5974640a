// Occlusion: a grey patch slides over the picture, and the places where the answer loses most are marked.

import { shrink } from "./picture.js";

const STEPS = 8;
const PATCH = 2; // in steps, so that neighbouring patches overlap
const LONGEST_SIDE = 448;
const GREY = 128;

// Returns the losses of log odds, Float32Array [STEPS * STEPS], from the top left row by row; null when cancelled.
export async function occlude(model, picture, classIndex, onProgress, isCancelled) {
  const small = shrink(picture, LONGEST_SIDE);
  const before = logOdds((await model.run(small, ["probabilities"])).probabilities[classIndex]);
  const losses = new Float32Array(STEPS * STEPS);
  for (let place = 0; place < losses.length; place++) {
    if (isCancelled()) return null;
    const covered = cover(small, place % STEPS, Math.floor(place / STEPS));
    const { probabilities } = await model.run(covered, ["probabilities"]);
    losses[place] = Math.max(0, before - logOdds(probabilities[classIndex]));
    onProgress((place + 1) / losses.length);
  }
  return losses;
}

// Draws the losses over a canvas of the picture's shape: the more is lost, the stronger the colour.
export function draw(canvas, losses, { width, height }) {
  canvas.width = width;
  canvas.height = height;
  const largest = Math.max(...losses, 1e-6);
  const cells = new OffscreenCanvas(STEPS, STEPS);
  const image = new ImageData(STEPS, STEPS);
  losses.forEach((loss, place) => image.data.set([255, 170, 0, Math.round((210 * loss) / largest)], 4 * place));
  cells.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(cells, 0, 0, width, height);
}

// Between sure and very sure, probabilities hardly differ.
function logOdds(probability) {
  const share = Math.min(1 - 1e-6, Math.max(1e-6, probability));
  return Math.log(share / (1 - share));
}

function cover({ pixels, width, height }, column, row) {
  const covered = pixels.slice();
  const bounds = (position, size) => [
    Math.max(0, Math.round(((position + 0.5 - PATCH / 2) * size) / STEPS)),
    Math.min(size, Math.round(((position + 0.5 + PATCH / 2) * size) / STEPS)),
  ];
  const [left, right] = bounds(column, width);
  const [top, bottom] = bounds(row, height);
  for (let y = top; y < bottom; y++) covered.fill(GREY, 3 * (y * width + left), 3 * (y * width + right));
  return { pixels: covered, width, height };
}
