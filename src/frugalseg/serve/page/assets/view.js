/** The stage: picture, mask and map; three ways to compare them; the class under the pointer. */

import { paintLabels } from "./picture.js";
import { byId, make } from "./page.js";

/** @import { Label, LabelMap } from "./types.js" */

const MOST_PIXELS = 4_000_000; // on a canvas; phones give little more
const STEPS = 40; // of the arrow keys, from edge to edge

/**
 * @typedef {object} Shown
 * @property {ImageBitmap} picture
 * @property {LabelMap} map
 * @property {Label[]} classes
 */

const stage = byId("stage");
const pictureCanvas = /** @type {HTMLCanvasElement} */ (byId("picture"));
const maskCanvas = /** @type {HTMLCanvasElement} */ (byId("mask"));
const mapCanvas = /** @type {HTMLCanvasElement} */ (byId("map"));
const probe = byId("probe");
const note = byId("stage-note");
const swipe = /** @type {HTMLInputElement} */ (byId("swipe"));

/** @type {Shown | null} */
let shown = null;

/** Where the keyboard is, as shares of width and height. */
let spot = { x: 0.5, y: 0.5 };

/** @type {(label: Label | null, aloud: boolean) => void} */
let onProbe = () => undefined;

/**
 * @param {(label: Label | null, aloud: boolean) => void} told  Called with the class under the
 *   pointer; `aloud` where the keyboard asked.
 */
export function startView(told) {
  onProbe = told;
  for (const input of document.querySelectorAll('input[name="mode"]')) {
    input.addEventListener("change", () => setMode(/** @type {HTMLInputElement} */ (input).value));
  }
  const opacity = /** @type {HTMLInputElement} */ (byId("opacity"));
  opacity.addEventListener("input", () => setOpacity(Number(opacity.value)));
  swipe.addEventListener("input", () => stage.style.setProperty("--cut", `${swipe.value}%`));
  stage.addEventListener("pointermove", onPointer);
  stage.addEventListener("pointerdown", onPointer);
  stage.addEventListener("pointerleave", unprobe);
  stage.addEventListener("blur", unprobe);
  stage.addEventListener("keydown", onKey);
}

/** @param {string} mode */
function setMode(mode) {
  stage.dataset.mode = mode;
  byId("swipe-field").hidden = mode !== "swipe";
  byId("opacity-field").hidden = mode === "side";
}

/** @param {number} percent */
function setOpacity(percent) {
  stage.style.setProperty("--opacity", String(percent / 100));
  byId("opacity-value").textContent = `${percent} %`;
}

/** The opacity of the mask, 0 to 1. */
export function opacityNow() {
  return Number(/** @type {HTMLInputElement} */ (byId("opacity")).value) / 100;
}

/**
 * @param {{ width: number, height: number }} size
 * @returns {{ width: number, height: number }} The size of the canvases: large pictures shrink.
 */
function canvasSize({ width, height }) {
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ width: number, height: number }} size
 */
function fit(canvas, size) {
  if (canvas.width !== size.width) canvas.width = size.width;
  if (canvas.height !== size.height) canvas.height = size.height;
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/** Take everything off the stage. */
export function showNothing() {
  stage.classList.add("empty");
  shown = null;
  unprobe();
}

/** @param {ImageBitmap} picture  Drawn alone: its labels are still to come. */
export function showPicture(picture) {
  const size = canvasSize(picture);
  stage.classList.remove("empty");
  stage.style.setProperty("--shape", String(picture.width / picture.height));
  fit(pictureCanvas, size).drawImage(picture, 0, 0, size.width, size.height);
  for (const canvas of [maskCanvas, mapCanvas]) {
    fit(canvas, size).clearRect(0, 0, size.width, size.height);
  }
  shown = null;
  unprobe();
}

/**
 * @param {Shown} what
 * @param {ReadonlySet<number>} hidden
 */
export function showLabels(what, hidden) {
  const size = canvasSize(what.map);
  stage.classList.remove("empty");
  stage.style.setProperty("--shape", String(what.map.width / what.map.height));
  fit(pictureCanvas, size).drawImage(what.picture, 0, 0, size.width, size.height);
  shown = what;
  repaint(hidden);
}

/** @param {ReadonlySet<number>} hidden */
export function repaint(hidden) {
  if (shown === null) return;
  const size = canvasSize(shown.map);
  const image = paintLabels(shown.map, shown.classes, hidden, size);
  for (const canvas of [maskCanvas, mapCanvas]) fit(canvas, size).putImageData(image, 0, 0);
}

/**
 * Say something over the stage, or nothing.
 *
 * @param {string} title
 * @param {string} [detail]
 * @param {boolean} [failed]
 */
export function say(title, detail = "", failed = false) {
  note.hidden = title === "";
  note.classList.toggle("failed", failed);
  const text = detail === "" ? [] : [make("p", "", detail)];
  note.replaceChildren(make("strong", "", title), ...text);
}

/** @param {string} label */
export function describe(label) {
  stage.setAttribute("aria-label", label);
}

/** @param {PointerEvent} event */
function onPointer(event) {
  const sheet = sheetAt(event);
  if (sheet === null) return;
  const box = sheet.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width;
  const y = (event.clientY - box.top) / box.height;
  const pressed = event.buttons !== 0 || event.type === "pointerdown";
  if (stage.dataset.mode === "swipe" && pressed) {
    swipe.value = String(Math.round(100 * x));
    swipe.dispatchEvent(new Event("input"));
  }
  probeAt(x, y, sheet, false);
}

/**
 * @param {PointerEvent} event
 * @returns {HTMLElement | null}
 */
function sheetAt(event) {
  return event.target instanceof Element ? event.target.closest(".sheet") : null;
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const move = moves[/** @type {keyof typeof moves} */ (event.key)];
  if (move === undefined) return;
  event.preventDefault();
  const within = (/** @type {number} */ at) => Math.min(1, Math.max(0, at));
  spot = { x: within(spot.x + move[0] / STEPS), y: within(spot.y + move[1] / STEPS) };
  probeAt(spot.x, spot.y, byId("picture-sheet"), true);
}

/**
 * Show the class at a place, given as shares of width and height.
 *
 * @param {number} x
 * @param {number} y
 * @param {HTMLElement} sheet
 * @param {boolean} aloud
 */
function probeAt(x, y, sheet, aloud) {
  if (shown === null || x < 0 || y < 0 || x > 1 || y > 1) return;
  const { labels, width, height } = shown.map;
  const column = Math.min(width - 1, Math.floor(x * width));
  const row = Math.min(height - 1, Math.floor(y * height));
  const id = labels[row * width + column];
  const label = shown.classes.find((each) => each.id === id) ?? null;
  spot = { x, y };
  for (const mark of document.querySelectorAll(".mark")) {
    /** @type {HTMLElement} */ (mark).style.setProperty("--x", `${100 * x}%`);
    /** @type {HTMLElement} */ (mark).style.setProperty("--y", `${100 * y}%`);
  }
  const [outer, inner] = [stage.getBoundingClientRect(), sheet.getBoundingClientRect()];
  const tip = { x: inner.left - outer.left + x * inner.width, y: inner.top - outer.top + y * inner.height };
  const edge = 60; // half of a tip
  probe.style.setProperty("--tip-x", `${Math.min(outer.width - edge, Math.max(edge, tip.x))}px`);
  probe.style.setProperty("--tip-y", `${tip.y}px`);
  probe.classList.toggle("below", tip.y < edge);
  probe.replaceChildren(...(label === null ? ["not labelled"] : [swatch(label), label.name]));
  probe.hidden = false;
  stage.classList.add("probing");
  onProbe(label, aloud);
}

function unprobe() {
  probe.hidden = true;
  stage.classList.remove("probing");
  onProbe(null, false);
}

/**
 * @param {Label} label
 * @returns {HTMLElement} A field of its colour.
 */
export function swatch({ color }) {
  const field = make("span", "swatch");
  field.style.setProperty("--swatch", color);
  return field;
}
