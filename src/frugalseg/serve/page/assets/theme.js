/** Light, dark, or as the system has it: what was chosen is remembered. */

import { byId, recall, remember } from "./page.js";

const KEY = "frugalseg-theme";
const THEMES = ["", "light", "dark"];
const NAMES = { "": "as the system has them", light: "light", dark: "dark" };

/** @param {string} theme */
function apply(theme) {
  if (theme === "") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const text = `Colours: ${NAMES[/** @type {keyof typeof NAMES} */ (theme)]}`;
  byId("theme").title = text;
  byId("theme").setAttribute("aria-label", text);
}

export function startTheme() {
  const kept = recall("localStorage", KEY) ?? "";
  let at = Math.max(0, THEMES.indexOf(kept));
  apply(THEMES[at]);
  byId("theme").addEventListener("click", () => {
    at = (at + 1) % THEMES.length;
    remember("localStorage", KEY, THEMES[at]);
    apply(THEMES[at]);
  });
}
