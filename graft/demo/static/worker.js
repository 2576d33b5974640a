// Runs the model in a thread of its own, so that the page stays responsive.

import * as ort from "./runtime/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
// More threads would need headers that a static host does not send.
ort.env.wasm.numThreads = 1;

const session = ort.InferenceSession.create(new URL("./model.onnx", import.meta.url).href);

// Asks: {id, pixels: Uint8Array of RGB, width, height, outputs: [name]}. Answers: {id, outputs: {name: Float32Array}}.
self.onmessage = async ({ data }) => {
  const { id, pixels, width, height, outputs } = data;
  try {
    const image = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
    const loaded = await session;
    const wanted = outputs.filter((name) => loaded.outputNames.includes(name));
    const results = await loaded.run({ image }, wanted);
    const values = Object.fromEntries(wanted.map((name) => [name, Float32Array.from(results[name].data)]));
    self.postMessage({ id, outputs: values });
  } catch (error) {
    self.postMessage({ id, error: String(error.message ?? error) });
  }
};

session.then(
  () => self.postMessage({ ready: true }),
  (error) => self.postMessage({ ready: false, error: String(error.message ?? error) }),
);
