/** The pictures of a session, segmented one after the other. */

import { countLabels } from "./pixels.js";
import { decodePicture, thumbnailOf } from "./picture.js";
import { encodeLabels } from "./png.js";
import { problemText } from "./problem.js";

/** @import { Answer, Item, Result, Wish } from "./types.js" */

/**
 * @typedef {object} Means
 * @property {() => Wish} wish  Asked before each picture.
 * @property {(file: Blob, wish: Wish) => Promise<Answer>} segment
 * @property {(item: Item) => void} changed  Called after an item has changed.
 */

const LANES = { server: 2, browser: 1 };

/** @type {Item[]} */
const items = [];

let made = 0;
let working = 0;

/** @type {Means} */
let means;

/** @param {Means} given */
export function startSession(given) {
  means = given;
}

/** @returns {readonly Item[]} */
export function allItems() {
  return items;
}

/**
 * @param {{ name: string, blob: Blob }[]} files
 * @returns {Item[]}
 */
export function addItems(files) {
  const fresh = files.map(({ name, blob }) => ({
    id: made++, name, file: blob, thumbnail: "", state: /** @type {const} */ ("waiting"),
    result: null, problem: null,
  }));
  items.push(...fresh);
  fresh.forEach(means.changed);
  pump();
  return fresh;
}

/** @param {Item} item */
export function removeItem(item) {
  const at = items.indexOf(item);
  if (at >= 0) items.splice(at, 1);
  if (item.thumbnail !== "") URL.revokeObjectURL(item.thumbnail);
}

/** @param {Item} item  Segmented once more: another network, or another place. */
export function repeatItem(item) {
  if (item.state === "working" || item.state === "waiting") return;
  item.state = "waiting";
  means.changed(item);
  pump();
}

function pump() {
  for (const item of items) {
    if (working >= LANES[means.wish().place]) return;
    if (item.state === "waiting") void work(item);
  }
}

/** @param {Item} item */
async function work(item) {
  working++;
  item.state = "working";
  item.problem = null;
  means.changed(item);
  try {
    item.result = await resultOf(item, means.wish());
    item.state = "done";
  } catch (thrown) {
    item.result = null;
    item.problem = problemText(thrown);
    item.state = "failed";
  }
  working--;
  means.changed(item);
  pump();
}

/**
 * @param {Item} item
 * @param {Wish} wish
 * @returns {Promise<Result>}
 */
async function resultOf(item, wish) {
  const asked = performance.now();
  const answer = await means.segment(item.file, wish);
  const total = performance.now() - asked;
  if (item.thumbnail === "") await addThumbnail(item);
  const { labels, width, height, phases } = answer;
  return {
    ...wish, mask: await encodeLabels(answer), width, height, phases, total,
    counts: countLabels(labels, wish.model.labels.length),
  };
}

/** @param {Item} item */
async function addThumbnail(item) {
  const bitmap = await decodePicture(item.file);
  item.thumbnail = URL.createObjectURL(await thumbnailOf(bitmap));
  bitmap.close();
}
