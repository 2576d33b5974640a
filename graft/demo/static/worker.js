// Runs the model in a thread of its own, so that the page stays responsive.

import { loadBytes } from "./files.js";
import * as ort from "./runtime/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
// More threads would need headers that a static host does not send.
ort.env.wasm.numThreads = 1;

const reason = (error) => String(error?.message ?? error).split("\n")[0].replace(/\.$/, "");

async function createSession() {
  const model = await loadBytes("model.onnx", (size) => self.postMessage({ kind: "loading", size }));
  try {
    return await ort.InferenceSession.create(model);
  } catch (error) {
    throw new Error(`model.onnx is damaged, or this browser is too old for it (${reason(error)})`);
  }
}

const session = createSession();

// Takes {id, pixels: Uint8Array of RGB, width, height, outputs: [name]}, and answers with {kind: "outputs", id, outputs:
// {name: Float32Array}}, without those that the model lacks, or with {kind: "error", id, error}.
self.onmessage = async ({ data }) => {
  const { id, pixels, width, height, outputs } = data;
  try {
    const image = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
    const loaded = await session;
    const wanted = outputs.filter((name) => loaded.outputNames.includes(name));
    const results = await loaded.run({ image }, wanted);
    const values = Object.fromEntries(wanted.map((name) => [name, Float32Array.from(results[name].data)]));
    for (const tensor of Object.values(results)) tensor.dispose();
    self.postMessage({ kind: "outputs", id, outputs: values });
  } catch (error) {
    self.postMessage({ kind: "error", id, error: reason(error) });
  }
};

session.then(
  () => self.postMessage({ kind: "ready" }),
  (error) => self.postMessage({ kind: "failed", error: reason(error) }),
);
