// Predicts images with a JavaScript package of ONNX Runtime, as graft/conformance/worker.py does with Python packages:
//     node worker.mjs PACKAGE FOLDER REQUEST      FOLDER holds node_modules

import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packageName, folder, requestPath] = process.argv.slice(2);
const request = JSON.parse(readFileSync(requestPath, "utf8"));

const RUNS_FOR_WARMING_UP = 500;
const SHARE_FOR_WARMING_UP = 0.1; // of the time

async function answer() {
  const ort = createRequire(join(folder, "package.json"))(packageName);
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(request.model, {
    executionProviders: [packageName === "onnxruntime-web" ? "wasm" : "cpu"],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  if (packageName === "onnxruntime-web") await warmUp(ort, session);
  const results = { outputs: Object.fromEntries(request.outputs.map((name) => [name, []])), seconds: [] };
  const file = openSync(request.pixels, "r");
  const start = performance.now();
  for (const shape of request.shapes) {
    const feeds = read(ort, session, file, shape);
    const outputs = await session.run(feeds, request.outputs);
    for (const name of request.outputs) results.outputs[name].push(Array.from(outputs[name].data));
    const again = performance.now();
    await session.run(feeds, request.outputs);
    const end = performance.now();
    results.seconds.push((end - again) / 1000);
    if ((end - start) / 1000 > request.seconds) break;
  }
  closeSync(file);
  return results;
}

/** Predict the first image for a while: WebAssembly gets faster while it runs, because it is compiled once more. */
async function warmUp(ort, session) {
  const end = performance.now() + 1000 * request.seconds * SHARE_FOR_WARMING_UP;
  const feeds = read(ort, session, openSync(request.pixels, "r"), request.shapes[0]);
  for (let run = 0; run < RUNS_FOR_WARMING_UP && performance.now() < end; run++) {
    await session.run(feeds, request.outputs);
  }
}

function read(ort, session, file, shape) {
  const bytes = new Uint8Array(shape.reduce((product, size) => product * size));
  readSync(file, bytes);
  const values = request.dtype === "float32" ? Float32Array.from(bytes) : bytes;
  return { [session.inputNames[0]]: new ort.Tensor(request.dtype, values, [1, ...shape]) };
}

// The package for browsers may keep the process alive, so the process is ended here.
answer()
  .catch((error) => ({ error: String(error?.message ?? error) }))
  .then((results) => writeFileSync(request.answer, JSON.stringify(results)))
  .then(() => process.exit(0));
