/** Segmenting in the page itself: the page's side of the worker. */

import { Problem } from "./problem.js";

/** @import { Answer, Model } from "./types.js" */

/** @typedef {{ resolve: (answer: Answer) => void, reject: (problem: Problem) => void }} Waiting */

/** @type {Map<number, Waiting>} */
const waiting = new Map();

/** @type {Worker | null} */
let worker = null;

let asked = 0;

/** @param {Model} model */
export function runsHere(model) {
  return model.format === "litert" && typeof WebAssembly === "object";
}

/** @returns {Worker} */
function started() {
  const fresh = new Worker(new URL("worker.js", import.meta.url));
  fresh.onmessage = ({ data: { id, answer, problem } }) => {
    const { resolve, reject } = /** @type {Waiting} */ (waiting.get(id));
    waiting.delete(id);
    if (problem === undefined) resolve(answer);
    else reject(new Problem(problem.title, problem.detail));
  };
  fresh.onerror = (event) => {
    event.preventDefault();
    fresh.terminate();
    worker = null;
    const detail = event.message || "Reload the page, or compute on the server.";
    for (const { reject } of waiting.values()) {
      reject(new Problem("The engine of this page does not run here", detail));
    }
    waiting.clear();
  };
  return fresh;
}

/**
 * @param {Model} model
 * @param {ImageBitmap | null} picture
 * @returns {Promise<Answer>}
 */
function post(model, picture) {
  worker ??= started();
  const to = worker;
  const id = asked++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    to.postMessage({ id, model, picture });
  });
}

/**
 * Load the engine and a network, so that the first picture need not wait for them.
 *
 * @param {Model} model
 * @returns {Promise<unknown>}
 */
export function prepare(model) {
  return post(model, null);
}

/**
 * Segment a picture in this browser. The bitmap is copied and stays the caller's.
 *
 * @param {Model} model
 * @param {ImageBitmap} picture
 * @returns {Promise<Answer>}
 */
export function segmentHere(model, picture) {
  return post(model, picture);
}
