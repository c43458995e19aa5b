/** How pictures come in: dropped, pasted, chosen, or one of the samples. */

import { alertProblem, byId, make } from "./page.js";
import { problemText } from "./problem.js";

/** @typedef {(files: { name: string, blob: Blob }[]) => void} Take */

/**
 * @param {Iterable<File> | null | undefined} files
 * @returns {{ name: string, blob: Blob }[]}
 */
function named(files) {
  return [...(files ?? [])].map((file) => ({ name: file.name || "pasted picture", blob: file }));
}

/** @param {Take} take */
export function startIntake(take) {
  const input = /** @type {HTMLInputElement} */ (byId("files"));
  input.addEventListener("change", () => {
    take(named(input.files));
    input.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    const files = named(event.clipboardData?.files);
    if (files.length > 0) take(files);
  });
  const drop = byId("drop");
  let depth = 0; // enter and leave come for each element that is crossed
  document.addEventListener("dragenter", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth++;
    drop.hidden = false;
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    drop.hidden = depth === 0;
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    drop.hidden = true;
    const files = named(event.dataTransfer?.files);
    if (files.length > 0) take(files);
  });
}

/**
 * Offer the sample pictures, where there are any.
 *
 * @param {Take} take
 */
export async function startSamples(take) {
  const response = await fetch("samples/index.json").catch(() => null);
  if (!response?.ok) return;
  /** @type {{ samples: { name: string, file: string, title: string }[] }} */
  const { samples } = await response.json();
  byId("sample-list").replaceChildren(...samples.map(({ name, file, title }) => {
    const image = make("img", "");
    image.src = `samples/${file}`;
    image.alt = "";
    const button = make("button", "", image, title);
    button.type = "button";
    button.addEventListener("click", async () => {
      try {
        const blob = await (await fetch(image.src)).blob();
        take([{ name: `${name}.jpg`, blob }]);
      } catch (thrown) {
        alertProblem(problemText(thrown));
      }
    });
    return make("li", "", button);
  }));
  byId("samples").hidden = samples.length === 0;
}
