// The states of deployments and rollouts: what each is called, and the tone of its colour. The words carry the meaning.

import { words } from "./format.js";
import { badge } from "./dom.js";

// prettier-ignore
const TONES = {
  pending:     "quiet",
  downloading: "busy",
  proving:     "busy",
  trial:       "busy",
  committed:   "good",
  unproven:    "warn",
  rolled_back: "bad",
  failed:      "bad",
  superseded:  "quiet",
  running:     "busy",
  paused:      "warn",
  aborted:     "bad",
  finished:    "good",
};

/** The order in which states are counted and listed: what needs eyes first. */
export const ORDER = ["failed", "rolled_back", "unproven", "trial", "proving", "downloading", "pending", "superseded", "committed", "waiting", "not_given"];

export const tone = (state) => TONES[state] ?? "plain";

export const stateBadge = (state) => badge(words(state), tone(state));
