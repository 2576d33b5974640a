// Classify PNG images with an exported model in Node.js.
//
//     npm install --ignore-scripts        (in this folder)
//     node predict.mjs ../../artifacts/export IMAGE.png...
//
// Prints one line of JSON an image: its path, the class, and the probability of each class. An error ends in one line on
// standard error and exit code 1, or 2 for missing arguments.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import ort from "onnxruntime-node";
import { PNG } from "pngjs";

/** Decode a PNG file to RGB pixels, a uint8 tensor [1, H, W, 3], on white where it is transparent. */
function read(path) {
  const { data, height, width } = PNG.sync.read(readFileSync(path)); // 8 bits of red, green, blue and opacity
  const pixels = new Uint8Array(height * width * 3);
  for (let pixel = 0; pixel < height * width; pixel++) {
    const opacity = data[4 * pixel + 3];
    for (let channel = 0; channel < 3; channel++) {
      pixels[3 * pixel + channel] = Math.round((data[4 * pixel + channel] * opacity + 255 * (255 - opacity)) / 255);
    }
  }
  return new ort.Tensor("uint8", pixels, [1, height, width, 3]);
}

async function main(folder, paths) {
  // The JavaScript packages give no access to the metadata of a model, so the class names lie beside it.
  const classes = JSON.parse(readFileSync(join(folder, "classes.json"), "utf8"));
  const session = await ort.InferenceSession.create(join(folder, "model.onnx"));
  for (const path of paths) {
    const outputs = await session.run({ image: read(path) }, ["probabilities"]);
    const probabilities = Array.from(outputs.probabilities.data);
    const best = classes[probabilities.indexOf(Math.max(...probabilities))];
    console.log(JSON.stringify({ path, class: best, probabilities }));
  }
}

const [folder, ...paths] = process.argv.slice(2);
if (paths.length === 0) {
  console.error("usage: node predict.mjs FOLDER IMAGE.png...");
  process.exit(2);
}
main(folder, paths).catch((error) => {
  console.error(`error: ${String(error?.message ?? error).replace(/\s+/g, " ")}`);
  process.exit(1);
});
