// Occlusion (Zeiler and Fergus 2014, section 4.2): a grey patch slides over the picture, and each place counts as much
// as the answer loses while it is covered.

const STEPS = 8;
const PATCH = 2; // in steps, so that neighbouring patches overlap
const GREY = 128;
// Losses of log odds below this are no reason to mark a place.
const CLEAR_LOSS = 0.1;

// Returns the losses of log odds, Float32Array [STEPS * STEPS] row by row from the top left; null when cancelled.
export async function occlude(model, picture, classIndex, onProgress, isCancelled) {
  const share = async (pixels) => {
    const { width, height } = picture;
    const { probabilities } = await model.run({ pixels, width, height }, ["probabilities"]);
    return logOdds(probabilities[classIndex]);
  };
  const whole = await share(picture.pixels.slice());
  const losses = new Float32Array(STEPS * STEPS);
  for (let place = 0; place < losses.length; place++) {
    if (isCancelled()) return null;
    const covered = cover(picture, place % STEPS, Math.floor(place / STEPS));
    losses[place] = Math.max(0, whole - (await share(covered)));
    onProgress((place + 1) / losses.length);
  }
  return isCancelled() ? null : losses;
}

export function isClear(losses) {
  return Math.max(...losses) >= CLEAR_LOSS;
}

// Draws a veil of grey over a canvas of the picture's shape: the more a place counts, the clearer it stays. Clear and
// grey can be told apart on a picture of any colour, and without colour vision.
export function draw(canvas, losses, { width, height }) {
  canvas.width = width;
  canvas.height = height;
  const largest = Math.max(...losses);
  const cells = new OffscreenCanvas(STEPS, STEPS);
  const image = new ImageData(STEPS, STEPS);
  losses.forEach((loss, place) => {
    const veil = 0.88 * (1 - Math.sqrt(loss / largest));
    image.data.set([GREY, GREY, GREY, Math.round(255 * veil)], 4 * place);
  });
  cells.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(cells, 0, 0, width, height);
}

// Between sure and very sure, probabilities hardly differ.
function logOdds(probability) {
  const bounded = Math.min(1 - 1e-6, Math.max(1e-6, probability));
  return Math.log(bounded / (1 - bounded));
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
  return covered;
}
