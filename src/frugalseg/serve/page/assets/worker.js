/**
 * Segments pictures off the page's thread. A classic worker, since LiteRT's script is one; our own
 * modules come by `import()`.
 */

/** @import { Model, Phase } from "./types.js" */
/** @import { Network, Runtime } from "./engine.js" */

const ENGINE = "engine/litert_wasm_compat_internal";

/** @type {any} */
const scope = self;

/** @type {Promise<Runtime> | null} */
let runtime = null;

/** @type {{ sha256: string, network: Promise<Network> } | null} */
let opened = null;

/** @returns {Promise<Runtime>} */
function startEngine() {
  scope.importScripts(`${ENGINE}.js`);
  const locateFile = (/** @type {string} */ name) => new URL(`engine/${name}`, scope.location).href;
  const quiet = () => undefined; // it greets on each start
  return scope.ModuleFactory({ locateFile, print: quiet, printErr: quiet });
}

/**
 * @param {Model} model
 * @returns {Promise<Network>}
 */
async function open(model) {
  const { openNetwork } = await import("./engine.js");
  const { Problem, problemOf } = await import("./problem.js");
  const response = await fetch(new URL(`../${model.links.file}`, scope.location));
  if (!response.ok) throw await problemOf(response);
  const file = new Uint8Array(await response.arrayBuffer());
  if ((await sha256(file)) !== model.sha256) {
    throw new Problem("The network's file is damaged", "Its hash is not the one that was told.");
  }
  runtime ??= startEngine();
  return openNetwork(await runtime, file);
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
 */
async function segment(model, picture) {
  const network = await opened?.network;
  if (network === undefined) throw new Error("no network is open");
  const { pixelsOf } = await import("./picture.js");
  const pixels = await import("./pixels.js");
  const { asLabels, asScores } = await import("./engine.js");
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
  const small = pixels.resizePicture(raw, width, height, size.width, size.height);
  const input = pixels.asChannels(small, size.channels);
  done("resize");
  const output = await network.run(input);
  done("infer");
  const [, rows, columns, classes] = network.gives.shape;
  const labels = model.output === "ids"
    ? pixels.resizeLabels(asLabels(network.gives, output), columns, rows, width, height)
    : pixels.labelsAt(
        asScores(network.gives, output), { width: columns, height: rows, classes }, width, height,
      );
  done("labels");
  return { labels, width, height, phases };
}

/** @param {MessageEvent} event */
scope.onmessage = async ({ data: { id, model, picture } }) => {
  try {
    if (opened?.sha256 !== model.sha256) opened = { sha256: model.sha256, network: open(model) };
    await opened?.network;
    if (picture === null) {
      scope.postMessage({ id, answer: null });
      return;
    }
    const answer = await segment(model, picture);
    scope.postMessage({ id, answer }, [answer.labels.buffer]);
  } catch (thrown) {
    opened = null;
    const { problemText } = await import("./problem.js");
    scope.postMessage({ id, problem: problemText(thrown) });
  }
};
