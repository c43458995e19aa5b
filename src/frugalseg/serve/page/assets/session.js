/** The pictures of a session, segmented one after the other. */

import { countLabels } from "./pixels.js";
import { decodePicture, thumbnailOf } from "./picture.js";
import { encodeLabels } from "./png.js";
import { problemText } from "./problem.js";

/** @import { Answer, Item, Model, Place, Result } from "./types.js" */

/**
 * @typedef {object} Wish  How pictures are segmented at the moment.
 * @property {Model} model
 * @property {Place} place
 * @property {(file: Blob) => Promise<Answer>} segment
 */

const LANES = { server: 2, browser: 1 };

/** @type {Item[]} */
const items = [];

let made = 0;
let working = 0;

/** @type {() => Wish} */
let wishNow;

/** @type {(item: Item) => void} */
let onChange = () => undefined;

/**
 * @param {() => Wish} wish  Asked before each picture.
 * @param {(item: Item) => void} changed  Called after an item has changed.
 */
export function startSession(wish, changed) {
  wishNow = wish;
  onChange = changed;
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
  fresh.forEach(onChange);
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
  onChange(item);
  pump();
}

function pump() {
  for (const item of items) {
    if (working >= LANES[wishNow().place]) return;
    if (item.state === "waiting") void work(item);
  }
}

/** @param {Item} item */
async function work(item) {
  working++;
  item.state = "working";
  item.problem = null;
  onChange(item);
  try {
    item.result = await resultOf(item, wishNow());
    item.state = "done";
  } catch (thrown) {
    item.result = null;
    item.problem = problemText(thrown);
    item.state = "failed";
  }
  working--;
  onChange(item);
  pump();
}

/**
 * @param {Item} item
 * @param {Wish} wish
 * @returns {Promise<Result>}
 */
async function resultOf(item, { model, place, segment }) {
  const asked = performance.now();
  const answer = await segment(item.file);
  const total = performance.now() - asked;
  if (item.thumbnail === "") await addThumbnail(item);
  const { labels, width, height, phases } = answer;
  return {
    mask: await encodeLabels(answer), width, height, phases, total, place, model,
    counts: countLabels(labels, model.labels.length),
  };
}

/** @param {Item} item */
async function addThumbnail(item) {
  const bitmap = await decodePicture(item.file);
  item.thumbnail = URL.createObjectURL(await thumbnailOf(bitmap));
  bitmap.close();
}
