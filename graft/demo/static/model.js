// The model behind the page: asks the worker and returns promises.

export class Model {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #lastId = 0;

  // `ready` is a promise, broken if the model cannot be loaded; onLoading is called with the number of bytes so far.
  constructor(onLoading) {
    this.ready = new Promise((resolve, reject) => {
      const fail = (reason) => {
        const error = new Error(reason);
        reject(error);
        for (const request of this.#waiting.values()) request.reject(error);
        this.#waiting.clear();
      };
      this.#worker.onerror = (event) => fail(event.message || "a script of the folder is missing; copy it again");
      this.#worker.onmessage = ({ data }) => {
        if (data.kind === "loading") onLoading(data.size);
        else if (data.kind === "ready") resolve();
        else if (data.kind === "failed") fail(data.error);
        else this.#settle(data);
      };
    });
  }

  // Returns the outputs, Float32Array by name, for a picture {pixels, width, height}. The pixels are given away.
  async run({ pixels, width, height }, outputs) {
    await this.ready;
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, pixels, width, height, outputs }, [pixels.buffer]);
    });
  }

  #settle({ kind, id, outputs, error }) {
    const request = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (kind === "outputs") request?.resolve(outputs);
    else request?.reject(new Error(`the model failed on it: ${error}`));
  }
}
