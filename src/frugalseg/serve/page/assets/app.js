/** The page: what a click, a drop or a key sets going. */

import { prepare, runsHere, segmentHere } from "./browser.js";
import {
  cameraRuns, encodeFrame, flipCamera, hasMoreCameras, startCamera, stopCamera,
} from "./camera.js";
import { dropCard, markCard, showCard, showProgress, startGallery } from "./gallery.js";
import { startIntake, startSamples } from "./intake.js";
import {
  hiddenClasses, inWords, markClass, setAllShown, showClasses, showFacts, showNumbers, showShares,
  showTiming, startLegend,
} from "./legend.js";
import { keepForOffline } from "./offline.js";
import { alertProblem, byId, download, speak } from "./page.js";
import { decodeLabels, decodePicture, renderOverlay } from "./picture.js";
import { countLabels } from "./pixels.js";
import { problemText } from "./problem.js";
import {
  hasKey, isReachable, isStatic, loadLink, loadModels, modelsAddress, segmentOnServer,
} from "./server.js";
import { addItems, allItems, removeItem, repeatItem, startSession } from "./session.js";
import { startTheme } from "./theme.js";
import {
  describe, opacityNow, repaint, say, showLabels, showNothing, showPicture, startView,
} from "./view.js";

/** @import { Answer, Item, Model, Place, Wish } from "./types.js" */

/** @type {Model[]} */
let models = [];

/** @type {Model} */
let model;

/** @type {Place} */
let place = "server";

/** @type {Item | null} */
let current = null;

/** @type {ImageBitmap | null} */
let bitmap = null; // of the current item, or the last frame of the camera

/** @param {unknown} thrown */
function tell(thrown) {
  alertProblem(problemText(thrown));
}

/** @returns {Promise<string | null>} */
function askKey() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("key-dialog"));
  const input = /** @type {HTMLInputElement} */ (byId("key"));
  input.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close", () => resolve(dialog.returnValue === "ok" ? input.value : null), { once: true },
    );
  });
}

/** @param {Model} wanted */
async function load(wanted) {
  const file = await loadLink(wanted.links.file, askKey);
  return file.arrayBuffer();
}

/**
 * @param {Blob} file
 * @param {Wish} wish
 * @returns {Promise<Answer>}
 */
async function segment(file, wish) {
  if (wish.place === "server") return segmentOnServer(wish.model, file, askKey);
  const picture = await decodePicture(file);
  try {
    return await segmentHere(wish.model, picture, load);
  } finally {
    picture.close();
  }
}

/** @param {boolean} busy  Whether there is something to see on the desk. */
function showDesk(busy) {
  byId("welcome").hidden = busy;
  byId("desk").hidden = !busy;
  byId("panel").hidden = !busy;
}

/** @param {boolean} allowed  Whether there is a result to download. */
function allowSaving(allowed) {
  for (const button of document.querySelectorAll('[data-do^="save"]')) {
    /** @type {HTMLButtonElement} */ (button).disabled = !allowed;
  }
}

/** @param {ImageBitmap | null} next */
function replaceBitmap(next) {
  bitmap?.close();
  bitmap = next;
}

/** @param {{ name: string, blob: Blob }[]} files */
function take(files) {
  if (cameraRuns()) endCamera();
  const [first] = addItems(files);
  if (first !== undefined) void open(first);
}

/** @param {Item} item */
async function open(item) {
  if (cameraRuns()) endCamera();
  current = item;
  showDesk(true);
  markCard(item);
  await show(item);
}

/** @param {Item} item  Draws it as far as it is. */
async function show(item) {
  showNumbers(item.result);
  allowSaving(item.result !== null);
  describe(`${item.name}: ${item.problem?.title ?? item.state}`);
  if (item.problem !== null) {
    showNothing();
    say(`${item.name}: ${item.problem.title}`, item.problem.detail, true);
    return;
  }
  try {
    const picture = await decodePicture(item.file);
    if (item !== current) return picture.close();
    replaceBitmap(picture);
    if (item.result === null) {
      showPicture(picture);
      say(place === "browser" ? "Computing in this browser …" : "Asking the server …");
      return;
    }
    const map = await decodeLabels(item.result.mask);
    if (item !== current || picture !== bitmap) return;
    showLabels({ picture, map, classes: item.result.model.labels }, hiddenClasses());
    say("");
    const words = inWords(item.result.model, item.result.counts);
    describe(`${item.name}: ${words}`);
    speak(`${item.name}: ${words}`);
  } catch (thrown) {
    if (item.problem === null && item === current && item.result !== null) tell(thrown);
  }
}

/** @param {Item} item */
function onItem(item) {
  if (!allItems().includes(item)) return;
  showCard(item);
  showProgress(allItems());
  if (item === current) {
    markCard(item);
    void show(item);
  }
}

/** @param {Item} item */
function remove(item) {
  removeItem(item);
  dropCard(item);
  showProgress(allItems());
  if (item !== current) return;
  current = null;
  const last = allItems().at(-1);
  if (last !== undefined) void open(last);
  else showDesk(false);
}

/** Start the camera, or start it anew with the other one. */
async function beginCamera() {
  try {
    await startCamera(onFrame, (rate) => {
      byId("rate").textContent = `${rate.toFixed(1)} frames per second`;
    }, (thrown) => {
      endCamera();
      tell(thrown);
    });
  } catch (thrown) {
    endCamera();
    tell(thrown);
    return;
  }
  current = null;
  markCard(null);
  showDesk(true);
  allowSaving(false);
  say("");
  describe("The camera's picture, live");
  byId("rate").textContent = "starting …";
  byId("camera-bar").hidden = false;
  byId("camera-button").hidden = true;
  byId("flip").hidden = !(await hasMoreCameras());
}

function endCamera() {
  stopCamera();
  byId("camera-bar").hidden = true;
  byId("camera-button").hidden = false;
  if (current === null && allItems().length === 0) showDesk(false);
}

/** @param {ImageBitmap} frame */
async function onFrame(frame) {
  const asked = performance.now();
  const answer = place === "server"
    ? await segmentOnServer(model, await encodeFrame(frame), askKey)
    : await segmentHere(model, frame, load);
  if (!cameraRuns()) return frame.close();
  replaceBitmap(frame);
  showLabels({ picture: frame, map: answer, classes: model.labels }, hiddenClasses());
  showShares(countLabels(answer.labels, model.labels.length));
  showTiming({ phases: answer.phases, total: performance.now() - asked, place });
}

async function keepFrame() {
  if (bitmap === null) return;
  const blob = await encodeFrame(bitmap);
  const name = `camera ${allItems().length + 1}.jpg`;
  addItems([{ name, blob }]);
  speak(`Kept as ${name}`);
}

/** @param {"mask" | "overlay"} kind */
async function save(kind) {
  const result = current?.result;
  if (!current || !result || bitmap === null) return;
  const stem = current.name.replace(/\.[^.]*$/, "");
  const blob = kind === "mask" ? result.mask : await renderOverlay(
    bitmap, await decodeLabels(result.mask), result.model.labels, hiddenClasses(), opacityNow(),
  );
  download(blob, `${stem}.${kind}.png`);
}

/** What the buttons do, by their `data-do`. */
const actions = /** @type {Record<string, () => unknown>} */ ({
  choose: () => byId("files").click(),
  camera: beginCamera,
  keep: keepFrame,
  flip: () => {
    flipCamera();
    return beginCamera();
  },
  stop: () => {
    endCamera();
    const last = allItems().at(-1);
    if (last === undefined) showDesk(false);
    else void open(last);
  },
  all: () => setAllShown(true),
  none: () => setAllShown(false),
  clear: () => [...allItems()].forEach(remove),
  "save-mask": () => save("mask"),
  "save-overlay": () => save("overlay"),
});

/** @param {MouseEvent} event  On a link that wants the key too: what it leads to is downloaded. */
async function followLink(event) {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!(link instanceof HTMLAnchorElement) || !hasKey()) return;
  event.preventDefault();
  const name = `${link.textContent}`.toLowerCase().replaceAll(" ", "-");
  download(await loadLink(link.href, askKey), name);
}

/** The network or the place was changed: what is on the stage is computed anew. */
function onWish() {
  byId("where-note").textContent = place === "browser"
    ? "Pictures stay on this device: the network runs in this browser."
    : "Pictures are sent to the server that gave you this page, and are not kept there.";
  if (place === "browser") prepare(model, load).catch(tell);
  for (const item of allItems()) {
    if (item === current || item.state === "failed") repeatItem(item);
  }
}

/** @param {Model} chosen */
function choose(chosen) {
  model = chosen;
  showClasses(model);
  showFacts(model);
  const here = /** @type {HTMLInputElement} */ (document.querySelector('input[value="browser"]'));
  here.disabled = !runsHere(model);
  here.title = here.disabled ? "Only LiteRT networks run in a browser" : "";
  if (here.disabled && place === "browser") setPlace("server");
  keepForOffline([modelsAddress(), model.links.file]);
  onWish();
}

/** @param {Place} wanted */
function setPlace(wanted) {
  place = wanted;
  const input = document.querySelector(`input[name="place"][value="${wanted}"]`);
  /** @type {HTMLInputElement} */ (input).checked = true;
}

async function offerModels() {
  const select = /** @type {HTMLSelectElement} */ (byId("model"));
  select.replaceChildren(...models.map(({ name, version }, at) => {
    const twice = models.filter((each) => each.name === name).length > 1;
    return new Option(twice ? `${name} (${version})` : name, String(at));
  }));
  select.addEventListener("change", () => choose(models[Number(select.value)]));
  byId("model-field").hidden = models.length < 2;
  byId("place").hidden = isStatic();
  if (isStatic() || !(await isReachable())) setPlace("browser");
  byId("place").addEventListener("change", (event) => {
    place = /** @type {Place} */ (/** @type {HTMLInputElement} */ (event.target).value);
    onWish();
  });
}

async function start() {
  byId("unstarted").remove();
  startTheme();
  models = await loadModels(askKey);
  startSession({ wish: () => ({ model, place }), segment, changed: onItem });
  startGallery({ open: (item) => void open(item), remove });
  startLegend(() => repaint(hiddenClasses()));
  startView((label, aloud) => {
    markClass(label);
    if (aloud) speak(label?.name ?? "not labelled");
  });
  startIntake(take);
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-do]") : null;
    const action = actions[/** @type {HTMLElement | null} */ (button)?.dataset.do ?? ""];
    if (action !== undefined) void Promise.resolve(action()).catch(tell);
  });
  byId("links").addEventListener("click", (event) => void followLink(event).catch(tell));
  await offerModels();
  choose(models[0]);
  await startSamples(take);
}

start().catch(tell);
