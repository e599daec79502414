// Workers that decode vectors beside the page's own thread. They are made of text in the bundle, as
// a page that was opened from a file may load no script of its own.

import script from "worker-script";

import { AtlasError } from "../data/errors.js";

const MOST = 4;

/** A few workers; each chunk goes to the one that has least to do. */
export class Decoders {
  /** Throws an AtlasError where the browser starts no worker. */
  constructor(many = Math.min(MOST, navigator.hardwareConcurrency || 1)) {
    this.address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.made = 0; // jobs
    this.workers = [];
    this.failure = null; // of any worker: all of the vectors are needed
    try {
      for (let number = 0; number < many; number++) this.workers.push(this.#start());
    } catch {
      this.end();
      throw noWorker();
    }
  }

  /**
   * What `decodeChunk` makes of a chunk, whose bytes are gone from here then.
   * @param {ArrayBuffer} bytes
   * @param {object} form see `decodeChunk`
   */
  decode(bytes, form) {
    if (this.failure) return Promise.reject(this.failure);
    const worker = this.workers.reduce((a, b) => (b.jobs.size < a.jobs.size ? b : a));
    const job = this.made++;
    return new Promise((resolve, reject) => {
      worker.jobs.set(job, { resolve, reject });
      worker.thread.postMessage({ job, bytes, form }, [bytes]);
    });
  }

  end() {
    for (const { thread } of this.workers) thread.terminate();
    URL.revokeObjectURL(this.address);
  }

  #start() {
    const thread = new globalThis.Worker(this.address); // `Worker` alone is MapLibre's: see no_worker.js
    const jobs = new Map(); // number -> {resolve, reject}
    thread.onmessage = ({ data: { job, found, problem } }) => {
      const { resolve, reject } = jobs.get(job);
      jobs.delete(job);
      if (problem === undefined) resolve(found);
      else reject(new Error(problem));
    };
    thread.onerror = (event) => {
      event.preventDefault();
      this.failure = noWorker();
      for (const { reject } of jobs.values()) reject(this.failure);
    };
    return { thread, jobs };
  }
}

function noWorker() {
  return new AtlasError(
    "The vectors cannot be read: this browser does not run the worker that decodes them.",
    "Load the page again, or use another browser.",
  );
}
