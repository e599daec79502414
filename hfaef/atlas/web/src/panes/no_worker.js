// What MapLibre gets for a worker (the build puts it in place of the browser's `Worker`): no source
// of MapLibre's is drawn, so that there is nothing to do for one. It takes messages and is silent.

/** An address that is none, so that MapLibre does not try to load a worker's text. */
export const NO_ADDRESS = "http://[none.cjs";

export class Worker {
  postMessage() {}
  addEventListener() {}
  removeEventListener() {}
  terminate() {}
}
