/** Small things that every part of the page needs of the document. */

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * Make an element: its class, its text, its children.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} className
 * @param {...(string | Node)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

/**
 * What was remembered; null where nothing was, or where the browser keeps nothing.
 *
 * @param {"localStorage" | "sessionStorage"} where
 * @param {string} key
 * @returns {string | null}
 */
export function recall(where, key) {
  try {
    return window[where].getItem(key);
  } catch {
    return null; // cookies are blocked, and storage with them
  }
}

/**
 * @param {"localStorage" | "sessionStorage"} where
 * @param {string} key
 * @param {string} value
 */
export function remember(where, key, value) {
  try {
    window[where].setItem(key, value);
  } catch {
    // as above: it is asked for again
  }
}

/** @param {string} text  Read out by a screen reader. */
export function speak(text) {
  byId("spoken").textContent = text;
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Show a problem until it is dismissed.
 *
 * @param {import("./types.js").ProblemText} problem
 */
export function alertProblem({ title, detail }) {
  const close = make("button", "quiet", "Dismiss");
  close.type = "button";
  const text = make("div", "", make("strong", "", title), ...(detail ? [make("p", "", detail)] : []));
  const alert = make("div", "alert", text, close);
  close.addEventListener("click", () => alert.remove());
  const alerts = byId("alerts");
  alerts.prepend(alert);
  while (alerts.children.length > 3) alerts.lastChild?.remove();
}
