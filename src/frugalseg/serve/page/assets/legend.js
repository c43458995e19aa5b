/** The panel: classes with their shares and switches, timing, and what the network is. */

import { byId, make } from "./page.js";
import { swatch } from "./view.js";

/** @import { Label, Model, Phase, Place, Result } from "./types.js" */

const PHASES = /** @type {Record<string, string>} */ ({
  decode: "Decoding", queue: "Waiting", resize: "Resizing", infer: "Network",
  labels: "Best class", encode: "Encoding",
});

/** @type {Set<number>} */
const hidden = new Set();

/** @type {() => void} */
let onToggle = () => undefined;

/** @param {() => void} toggled  Called after a class was shown or hidden. */
export function startLegend(toggled) {
  onToggle = toggled;
  byId("legend").addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    setShown(Number(input.value), input.checked);
    onToggle();
  });
}

/** @returns {ReadonlySet<number>} The classes that are not shown. */
export function hiddenClasses() {
  return hidden;
}

/**
 * @param {number} id
 * @param {boolean} shown
 */
function setShown(id, shown) {
  if (shown) hidden.delete(id);
  else hidden.add(id);
}

/** @param {boolean} shown  All of them, or none. */
export function setAllShown(shown) {
  for (const input of byId("legend").querySelectorAll("input")) {
    input.checked = shown;
    setShown(Number(input.value), shown);
  }
  onToggle();
}

/** @param {Model} model  Its background is hidden at first: what one looks for lies on it. */
export function showClasses({ labels, background }) {
  hidden.clear();
  if (background !== null) hidden.add(background);
  byId("legend").replaceChildren(...labels.map((label) => {
    const input = make("input", "");
    input.type = "checkbox";
    input.value = String(label.id);
    input.checked = !hidden.has(label.id);
    const bar = make("span", "share-bar");
    bar.style.setProperty("--swatch", label.color);
    const share = make("span", "share", "");
    const row = make("li", "", make(
      "label", "", input, swatch(label), make("span", "name", label.name), share, bar,
    ));
    row.dataset.label = String(label.id);
    return row;
  }));
}

/** @param {number[] | null} counts  Pixels of each class; null before there are any. */
export function showShares(counts) {
  const total = counts?.reduce((sum, count) => sum + count, 0) ?? 0;
  for (const row of byId("legend").children) {
    const label = Number(/** @type {HTMLElement} */ (row).dataset.label);
    const share = total === 0 ? 0 : (counts?.[label] ?? 0) / total;
    const text = /** @type {HTMLElement} */ (row.querySelector(".share"));
    text.textContent = total === 0 ? "" : percent(share);
    text.title = total === 0 ? "" : `${counts?.[label].toLocaleString()} pixels`;
    row.classList.toggle("absent", share === 0);
    const bar = /** @type {HTMLElement} */ (row.querySelector(".share-bar"));
    bar.style.setProperty("--share", `${100 * share}%`);
  }
}

/** @param {number} share */
export function percent(share) {
  return `${(100 * share).toFixed(share > 0 && share < 0.001 ? 2 : 1)} %`;
}

/** @param {Label | null} label  The class under the pointer, to be marked. */
export function markClass(label) {
  for (const row of byId("legend").children) {
    const id = /** @type {HTMLElement} */ (row).dataset.label;
    row.classList.toggle("hot", label !== null && id === String(label.id));
  }
}

/**
 * @param {Model} model
 * @param {number[]} counts
 * @returns {string} The classes of a picture in words, the largest first.
 */
export function inWords({ labels }, counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const parts = labels
    .filter(({ id }) => counts[id] > 0)
    .sort((a, b) => counts[b.id] - counts[a.id])
    .map(({ id, name }) => `${name} ${percent(counts[id] / total)}`);
  return parts.join(", ");
}

/**
 * @param {[string, string][]} rows
 * @returns {Node[]}
 */
function entries(rows) {
  return rows.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]);
}

/** @param {{ phases: Phase[], total: number, place: Place } | null} result */
export function showTiming(result) {
  const rows = result === null ? [] : [
    ...result.phases.map(({ name, ms }) => /** @type {[string, string]} */ (
      [PHASES[name] ?? name, `${ms.toFixed(1)} ms`]
    )),
    /** @type {[string, string]} */ (["In all, as seen here", `${result.total.toFixed(0)} ms`]),
    /** @type {[string, string]} */ (
      ["Computed", result.place === "server" ? "on the server" : "in this browser"]
    ),
  ];
  byId("timing-section").hidden = result === null;
  byId("timing").replaceChildren(...entries(rows));
}

/** @param {Model} model */
export function showFacts({ name, version, format, precision, bytes, input, scores, links }) {
  const miou = scores?.["miou"];
  byId("facts").replaceChildren(...entries([
    ["Name", name],
    ["Version", version],
    ["Input", `${input.width} × ${input.height}`],
    ["File", `${format} ${precision}, ${Math.ceil(bytes / 1000).toLocaleString()} kB`],
    ...(typeof miou === "number" ? [/** @type {[string, string]} */ (["mIoU", percent(miou)])] : []),
  ]));
  byId("links").replaceChildren(
    ...[["Model card", links.card], ["Manifest", links.manifest], ["Network file", links.file]]
      .map(([text, href]) => {
        const link = make("a", "", text);
        link.href = href.replace(/^\//, "");
        return link;
      }),
  );
}

/** @param {Result | null} result */
export function showNumbers(result) {
  showShares(result?.counts ?? null);
  showTiming(result);
}
