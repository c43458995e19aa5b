/** The service: which networks it has, and pictures segmented by it. */

import { recall, remember } from "./page.js";
import { decodeLabels } from "./picture.js";
import { Problem, problemOf } from "./problem.js";

/** @import { Answer, Model, Phase } from "./types.js" */

const TRIES = 8;
const KEY = "frugalseg-key";
const UNAUTHORIZED = 401;

/** @type {string | null} */
let key = recall("sessionStorage", KEY);

/**
 * Fetch, with the key of this session where there is one; `askKey` is called where one is needed.
 *
 * @param {string} address
 * @param {RequestInit} options
 * @param {() => Promise<string | null>} askKey
 * @returns {Promise<Response>}
 */
async function ask(address, options, askKey) {
  for (;;) {
    const headers = new Headers(options.headers);
    if (key !== null) headers.set("Authorization", `Bearer ${key}`);
    const response = await fetch(address, { ...options, headers }).catch(() => {
      throw new Problem(
        "The service cannot be reached",
        "Check the connection, or compute in this browser: the switch is at the top.",
      );
    });
    if (response.status !== UNAUTHORIZED) return response;
    const fresh = await askKey();
    if (fresh === null) return response;
    key = fresh;
    remember("sessionStorage", KEY, fresh);
  }
}

/**
 * @param {() => Promise<string | null>} askKey
 * @returns {Promise<Model[]>} The networks, the default one first.
 */
export async function loadModels(askKey) {
  const response = await ask(modelsAddress(), {}, askKey);
  if (!response.ok) throw await problemOf(response);
  return (await response.json()).models;
}

/** @returns {string} Where the networks are listed. */
export function modelsAddress() {
  /** @type {HTMLMetaElement | null} */
  const meta = document.querySelector('meta[name="frugalseg-models"]');
  return meta?.content ?? "v1/models";
}

/** Whether this is a folder of files, with no service behind it. */
export function isStatic() {
  return modelsAddress().endsWith(".json");
}

/**
 * Whether there is a service to ask. Browsers know when there is no network at all, but then there
 * may be a service on the same machine; and only GET is answered from what was kept.
 */
export async function isReachable() {
  if (navigator.onLine) return true;
  return fetch(modelsAddress(), { method: "HEAD" }).then(() => true, () => false);
}

/** Whether requests go with a key, so that a link alone leads nowhere. */
export function hasKey() {
  return key !== null;
}

/**
 * @param {string} address  One of a model's links.
 * @param {() => Promise<string | null>} askKey
 * @returns {Promise<Blob>}
 */
export async function loadLink(address, askKey) {
  const response = await ask(address, {}, askKey);
  if (!response.ok) throw await problemOf(response);
  return response.blob();
}

/**
 * Segment a picture on the server. A full queue is waited for.
 *
 * @param {Model} model
 * @param {Blob} file
 * @param {() => Promise<string | null>} askKey
 * @returns {Promise<Answer>}
 */
export async function segmentOnServer(model, file, askKey) {
  const wish = new URLSearchParams({ model: model.name, version: model.version, format: "ids" });
  const type = file.type || "application/octet-stream";
  const options = { method: "POST", body: file, headers: { "Content-Type": type } };
  for (let tries = 1; ; tries++) {
    const response = await ask(`v1/segment?${wish}`, options, askKey);
    if (response.ok) {
      const phases = serverTiming(response.headers.get("Server-Timing") ?? "");
      return { ...(await decodeLabels(await response.blob())), phases };
    }
    const problem = await problemOf(response);
    if (problem.retryAfter === 0 || tries === TRIES) throw problem;
    await new Promise((resolve) => setTimeout(resolve, 1000 * problem.retryAfter));
  }
}

/**
 * Read a `Server-Timing` header.
 *
 * @param {string} header  Such as "decode;dur=1.2, infer;dur=8".
 * @returns {Phase[]}
 */
export function serverTiming(header) {
  return header.split(",").flatMap((entry) => {
    const [name, ...rest] = entry.split(";").map((part) => part.trim());
    const took = rest.find((part) => part.startsWith("dur="));
    return took === undefined ? [] : [{ name, ms: Number(took.slice("dur=".length)) }];
  });
}
