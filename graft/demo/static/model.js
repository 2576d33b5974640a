// The model behind the page: asks the worker and returns promises.

export class Model {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.lastId = 0;
    this.ready = new Promise((resolve, reject) => {
      this.worker.onerror = (event) => reject(new Error(event.message || "the worker cannot be loaded"));
      this.worker.onmessage = ({ data }) => {
        if ("ready" in data) {
          data.ready ? resolve() : reject(new Error(data.error));
          return;
        }
        const { resolve: answer, reject: fail } = this.waiting.get(data.id);
        this.waiting.delete(data.id);
        data.error ? fail(new Error(data.error)) : answer(data.outputs);
      };
    });
  }

  // Returns the outputs, Float32Array by name, for a picture {pixels, width, height}.
  async run(picture, outputs) {
    await this.ready;
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...picture, outputs });
    });
  }
}
