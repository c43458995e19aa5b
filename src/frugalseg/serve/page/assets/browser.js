/** Segmenting in the page itself: the page's side of the worker. */

import { Problem } from "./problem.js";

/** @import { Answer, Model } from "./types.js" */

/** @typedef {{ resolve: (answer: Answer) => void, reject: (problem: Problem) => void }} Waiting */

/** @type {Map<number, Waiting>} */
const waiting = new Map();

/** @type {Worker | null} */
let worker = null;

/** @type {{ sha256: string, ready: Promise<unknown> } | null} */
let opened = null;

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
    opened = null;
    const detail = event.message || "Reload the page, or compute on the server.";
    for (const { reject } of waiting.values()) {
      reject(new Problem("The engine of this page does not run here", detail));
    }
    waiting.clear();
  };
  return fresh;
}

/**
 * @param {{ model: Model, file?: ArrayBuffer, picture?: ImageBitmap }} what
 * @returns {Promise<Answer>}
 */
function post(what) {
  worker ??= started();
  const to = worker;
  const id = asked++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    to.postMessage({ id, ...what }, what.file === undefined ? [] : [what.file]);
  });
}

/**
 * Load the engine and a network, unless that is done already.
 *
 * @param {Model} model
 * @param {(model: Model) => Promise<ArrayBuffer>} load  Called for the network's file.
 * @returns {Promise<unknown>}
 */
export function prepare(model, load) {
  if (opened?.sha256 !== model.sha256) {
    const ready = load(model).then((file) => post({ model, file }));
    opened = { sha256: model.sha256, ready };
    const mine = opened;
    ready.catch(() => {
      if (opened === mine) opened = null; // so that it can be tried again
    });
  }
  return opened.ready;
}

/**
 * Segment a picture in this browser. The bitmap is copied and stays the caller's.
 *
 * @param {Model} model
 * @param {ImageBitmap} picture
 * @param {(model: Model) => Promise<ArrayBuffer>} load
 * @returns {Promise<Answer>}
 */
export async function segmentHere(model, picture, load) {
  await prepare(model, load);
  return post({ model, picture });
}
