/**
 * Segments pictures off the page's thread. A classic worker, since LiteRT's script is one; our own
 * modules come by `import()`.
 */

/** @import { Answer, Model, Phase } from "./types.js" */
/** @import { Network, Runtime, Tensor } from "./engine.js" */

/** @type {any} */
const scope = self;

/** @type {Promise<Runtime> | null} */
let runtime = null;

/** @type {Network | null} */
let network = null;

/** What was asked before: one thing is done after the other. */
let before = Promise.resolve();

/** @returns {Promise<Runtime>} */
function startEngine() {
  scope.importScripts("build.js");
  scope.importScripts(`${ENGINE}.js`);
  const locateFile = (/** @type {string} */ name) => new URL(`engine/${name}`, scope.location).href;
  const quiet = () => undefined; // it greets on each start
  return scope.ModuleFactory({ locateFile, print: quiet, printErr: quiet });
}

/**
 * @param {Model} model
 * @param {ArrayBuffer} content
 */
async function open(model, content) {
  const { openNetwork } = await import("./engine.js");
  const { Problem } = await import("./problem.js");
  const file = new Uint8Array(content);
  const hash = await sha256(file);
  if (hash !== null && hash !== model.sha256) {
    throw new Problem("The network's file is damaged", "Its hash is not the one that was told.");
  }
  runtime ??= startEngine();
  network?.close();
  network = null;
  network = await openNetwork(await runtime, file);
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<string | null>} Null where the browser does not give hashes: without HTTPS.
 */
async function sha256(bytes) {
  if (scope.crypto.subtle === undefined) return null;
  const digest = new Uint8Array(await scope.crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Model} model
 * @param {ImageBitmap} picture
 * @returns {Promise<Answer>}
 */
async function segment(model, picture) {
  if (network === null) throw new Error("no network is open");
  const { pixelsOf } = await import("./picture.js");
  const { asChannels, resizePicture } = await import("./pixels.js");
  const { width, height } = picture;
  const size = model.input;
  /** @type {Phase[]} */
  const phases = [];
  let from = performance.now();
  const done = (/** @type {string} */ name) => {
    phases.push({ name, ms: performance.now() - from });
    from = performance.now();
  };

  const raw = pixelsOf(picture);
  picture.close();
  const small = resizePicture(raw, width, height, size.width, size.height);
  const input = asChannels(small, size.channels);
  done("resize");
  const output = await network.run(input);
  done("infer");
  const labels = await labelsOf(model, network.gives, output, { width, height });
  done("labels");
  return { labels, width, height, phases };
}

/**
 * @param {Model} model
 * @param {Tensor} tensor
 * @param {Uint8Array} output
 * @param {{ width: number, height: number }} size
 */
async function labelsOf(model, tensor, output, { width, height }) {
  const { labelsAt, resizeLabels } = await import("./pixels.js");
  const { asLabels, asScores } = await import("./engine.js");
  const [, rows, columns, classes] = tensor.shape;
  if (model.output === "ids") {
    return resizeLabels(asLabels(tensor, output), columns, rows, width, height);
  }
  const native = { width: columns, height: rows, classes };
  return labelsAt(asScores(tensor, output), native, width, height);
}

/** @param {{ id: number, model: Model, file?: ArrayBuffer, picture?: ImageBitmap }} asked */
async function perform({ id, model, file, picture }) {
  try {
    if (file !== undefined) await open(model, file);
    const given = picture === undefined ? null : await segment(model, picture);
    scope.postMessage({ id, answer: given }, given === null ? [] : [given.labels.buffer]);
  } catch (thrown) {
    const { problemText } = await import("./problem.js");
    scope.postMessage({ id, problem: problemText(thrown) });
  }
}

/** @param {MessageEvent} event */
scope.onmessage = ({ data }) => {
  before = before.then(() => perform(data));
};
