/**
 * The shapes of data that modules hand to each other. Nothing here runs.
 *
 * @typedef {{ id: number, name: string, color: string }} Label
 *
 * @typedef {object} Model  What `GET v1/models` says of a network.
 * @property {string} name
 * @property {string} version
 * @property {boolean} default
 * @property {string} sha256
 * @property {string} format  "litert" or "onnx".
 * @property {string} precision
 * @property {number} bytes
 * @property {"scores" | "ids"} output
 * @property {{ height: number, width: number, channels: number }} input
 * @property {Label[]} labels
 * @property {number | null} background
 * @property {Record<string, unknown> | null} scores
 * @property {{ card: string, manifest: string, file: string }} links
 *
 * @typedef {{ title: string, detail: string, status?: number }} ProblemText
 *
 * @typedef {{ name: string, ms: number }} Phase  One step of the work, and how long it took.
 *
 * @typedef {object} LabelMap  Class ids of a picture, row by row.
 * @property {Uint8Array} labels
 * @property {number} width
 * @property {number} height
 *
 * @typedef {LabelMap & { phases: Phase[] }} Answer
 *
 * @typedef {"server" | "browser"} Place  Where a picture is segmented.
 *
 * @typedef {{ model: Model, place: Place }} Wish  How pictures are segmented at the moment.
 *
 * @typedef {object} Result  What is kept of an answer.
 * @property {Blob} mask  Class ids as an 8-bit PNG.
 * @property {number} width
 * @property {number} height
 * @property {number[]} counts  Pixels of each class.
 * @property {Phase[]} phases
 * @property {number} total  Milliseconds from asking to the answer.
 * @property {Place} place
 * @property {Model} model
 *
 * @typedef {object} Item  A picture of the session.
 * @property {number} id
 * @property {string} name
 * @property {Blob} file
 * @property {string} thumbnail  An object URL, or "" until there is one.
 * @property {"waiting" | "working" | "done" | "failed"} state
 * @property {Result | null} result
 * @property {ProblemText | null} problem
 */

export {};
