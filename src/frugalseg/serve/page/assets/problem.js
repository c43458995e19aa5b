/** What went wrong, in words for people: the problem documents (RFC 9457) of the service and ours. */

/** @import { ProblemText } from "./types.js" */

const WAIT_SECONDS = 2;

export class Problem extends Error {
  /**
   * @param {string} title
   * @param {string} [detail]
   * @param {{ status?: number, retryAfter?: number }} [more]  Seconds after which to try again.
   */
  constructor(title, detail = "", { status = 0, retryAfter = 0 } = {}) {
    super(title);
    this.title = title;
    this.detail = detail;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * Read what a refused request says of itself.
 *
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
  const status = response.status;
  const wait = Number(response.headers.get("Retry-After"));
  const retryAfter = status === 429 || status === 503 ? wait || WAIT_SECONDS : 0;
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    const { title = "", detail = "" } = await response.json().catch(() => ({}));
    return new Problem(title || `The service answered ${status}`, detail, { status, retryAfter });
  }
  const detail = response.statusText || "The answer has no explanation.";
  return new Problem(`The service answered ${status}`, detail, { status, retryAfter });
}

/**
 * Turn whatever was thrown into text that can be shown.
 *
 * @param {unknown} thrown
 * @returns {ProblemText}
 */
export function problemText(thrown) {
  if (thrown instanceof Problem) {
    return { title: thrown.title, detail: thrown.detail, status: thrown.status };
  }
  return { title: "Something went wrong in this page", detail: String(thrown) };
}
