/** The strip of the session's pictures, and how far they are. */

import { byId, make } from "./page.js";

/** @import { Item } from "./types.js" */

const STATES = { waiting: "waiting", working: "working", done: "done", failed: "failed" };

/** @type {Map<Item, HTMLLIElement>} */
const cards = new Map();

/**
 * @param {{ open: (item: Item) => void, remove: (item: Item) => void }} actions
 */
export function startGallery({ open, remove }) {
  byId("gallery").addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    const card = button?.closest("li");
    const item = [...cards.keys()].find((each) => cards.get(each) === card);
    if (button === null || item === undefined) return;
    if (button.className === "remove") remove(item);
    else open(item);
  });
}

/** @param {Item} item */
function newCard(item) {
  const open = make(
    "button", "open", make("span", "blank"), make("span", "name", item.name), make("span", "state"),
  );
  open.type = "button";
  open.title = item.name;
  const remove = make("button", "remove", "×");
  remove.type = "button";
  remove.setAttribute("aria-label", `Remove ${item.name}`);
  const card = make("li", "card", open, remove);
  cards.set(item, card);
  byId("gallery").append(card);
  return card;
}

/** @param {Item} item */
export function showCard(item) {
  const card = cards.get(item) ?? newCard(item);
  card.dataset.state = item.state;
  const took = item.result === null ? "" : `${item.result.total.toFixed(0)} ms`;
  const state = item.state === "done" ? took : STATES[item.state];
  /** @type {HTMLElement} */ (card.querySelector(".state")).textContent = state;
  if (item.thumbnail !== "" && card.querySelector("img") === null) {
    const image = make("img", "");
    image.src = item.thumbnail;
    image.alt = "";
    card.querySelector(".blank")?.replaceWith(image);
  }
}

/** @param {Item} item */
export function dropCard(item) {
  cards.get(item)?.remove();
  cards.delete(item);
}

/** @param {Item | null} item  The one on the stage. */
export function markCard(item) {
  for (const [each, card] of cards) {
    const open = /** @type {HTMLElement} */ (card.querySelector(".open"));
    if (each === item) open.setAttribute("aria-current", "true");
    else open.removeAttribute("aria-current");
  }
  const card = item === null ? undefined : cards.get(item);
  if (card === undefined) return;
  const strip = byId("gallery"); // `scrollIntoView` would move the page too
  const [left, right] = [card.offsetLeft, card.offsetLeft + card.offsetWidth];
  if (left < strip.scrollLeft) strip.scrollLeft = left;
  else if (right > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = right - strip.clientWidth;
}

/** @param {readonly Item[]} items */
export function showProgress(items) {
  const over = items.filter(({ state }) => state === "done" || state === "failed").length;
  const failed = items.filter(({ state }) => state === "failed").length;
  const bar = /** @type {HTMLProgressElement} */ (byId("progress"));
  bar.hidden = over === items.length || items.length < 2;
  bar.max = Math.max(1, items.length);
  bar.value = over;
  const bad = failed === 0 ? "" : `, ${failed} failed`;
  byId("progress-text").textContent = items.length < 2 ? "" : `${over} of ${items.length} done${bad}`;
  byId("gallery-section").hidden = items.length === 0;
}
