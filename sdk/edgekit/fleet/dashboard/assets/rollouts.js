// One rollout as it goes, and the list of all.

import { make, makeTable, note, show, under } from "./dom.js";
import * as format from "./format.js";
import { ORDER, stateBadge, tone } from "./states.js";

/** Devices that are listed: those with news come first, and the bar above counts all. */
const FIRST = 12;
const OPEN = ["running", "paused"];

/** The id of the rollout to show: the one that was *chosen*, else the newest that is open, else the newest. */
export function findShown(rollouts, chosen) {
  const by = (test) => rollouts.find(test)?.id;
  return by((one) => one.id === chosen) ?? by((one) => OPEN.includes(one.state)) ?? rollouts[0]?.id ?? null;
}

/** Put one rollout with its standings (as /rollouts/ID answers) into *place*; null shows that there is none. */
export function showRollout(place, view, now) {
  if (!view) {
    show(place, note("No rollout yet. ", make("code", {}, "edgekit rollout start NAME@VERSION"), " starts one."));
    return;
  }
  const { rollout, standings } = view;
  show(
    place,
    make("div", { class: "title", "data-key": rollout.id }, make("h3", {}, rollout.release), stateBadge(rollout.state), make("span", { class: "aside" }, `rollout ${rollout.id}, started ${format.clock(rollout.created_ms)}`)),
    make("p", { class: `reason ${tone(rollout.state)}` }, rollout.reason || "It has just begun."),
    makeTrack(rollout),
    makeBar(rollout, standings),
    makeTerms(rollout),
    makeStandings(rollout, standings, now),
  );
}

function makeTrack(rollout) {
  const steps = rollout.phases.map((phase, index) => {
    const stage = findStage(rollout, index);
    const current = stage === "current" || stage === "stopped";
    return make("li", { class: stage, "aria-current": current && "step" }, make("span", { class: "mark", "aria-hidden": "true" }, MARKS[stage]), make("span", { class: "phase" }, namePhase(phase)), under(STAGES[stage](rollout)));
  });
  return make("ol", { class: "track", "aria-label": "Phases" }, steps);
}

const MARKS = { done: "✓", current: "●", stopped: "✕", ahead: "" };
const STAGES = { done: () => "done", current: (rollout) => (rollout.state === "paused" ? "paused" : "under way"), stopped: () => "stopped here", ahead: (rollout) => (OPEN.includes(rollout.state) ? "to come" : "not reached") };

function findStage(rollout, index) {
  if (rollout.state === "finished" || index < rollout.phase) return "done";
  if (index > rollout.phase) return "ahead";
  return OPEN.includes(rollout.state) ? "current" : "stopped";
}

function namePhase(phase) {
  if (phase.canary) return "one of each class";
  if (phase.devices !== null) return format.counted(phase.devices, "device");
  return `${+(phase.share * 100).toFixed(2)}\u00a0%`;
}

/** A device's state; one that was never given the release waits for it, or will not get it. */
function nameState(rollout, one) {
  return one.state ?? (OPEN.includes(rollout.state) ? "waiting" : "not_given");
}

/** How many devices are in each state, as one bar and in words. */
function makeBar(rollout, standings) {
  const counts = new Map();
  for (const one of standings) counts.set(nameState(rollout, one), (counts.get(nameState(rollout, one)) ?? 0) + 1);
  const states = [...ORDER].reverse().filter((state) => counts.has(state));
  const parts = states.map((state) => make("span", { class: `part ${tone(state)}`, style: `flex-grow: ${counts.get(state)}` }));
  const legend = states.map((state) => make("li", { class: tone(state) }, `${format.count(counts.get(state))} ${format.words(state)}`));
  return make("div", { class: "progress" }, make("div", { class: "parts", "aria-hidden": "true" }, parts), make("ul", { class: "legend" }, legend));
}

function makeTerms(rollout) {
  const { trial } = rollout;
  const terms = [
    ["Devices", rollout.select || "all"],
    ["Error threshold", format.share(rollout.error_threshold)],
    ["Trial", `${format.counted(trial.min_requests, "request")} in at least ${trial.min_s} s, judged after ${trial.max_s} s at the latest; at most ${format.share(trial.max_error_rate)} may fail`],
    ["Release", format.digest(rollout.digest)],
  ];
  return make("dl", { class: "terms" }, terms.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function makeStandings(rollout, standings, now) {
  const order = (one) => ORDER.indexOf(nameState(rollout, one));
  const sorted = [...standings].sort((one, other) => order(one) - order(other) || one.device.localeCompare(other.device));
  const rows = sorted.slice(0, FIRST).map((one) => ({
    key: one.device,
    cells: [make("span", { class: "name" }, one.device), make("span", { class: "whole" }, one.device_class), stateBadge(nameState(rollout, one)), one.reason || "", format.age(one.seen_ms, now)],
  }));
  const more = sorted.length - rows.length;
  return [makeTable("Devices of this rollout", ["Device", "Class", "State", { text: "Why", kind: "text" }, "Seen"], rows), more > 0 && note(`${format.count(more)} more devices are not listed here: edgekit rollout status lists all.`)];
}

/** Put the list of all rollouts into *place*; *shown* is the id of the one above. */
export function showRollouts(place, rollouts, shown) {
  if (rollouts.length < 2) {
    show(place);
    return;
  }
  const rows = rollouts.map((one) => ({
    key: one.id,
    class: one.id === shown && "chosen",
    cells: [
      make("button", { type: "button", class: "choose whole", "data-rollout": one.id, "aria-pressed": String(one.id === shown) }, one.release),
      stateBadge(one.state),
      one.select || "all devices",
      format.clock(one.created_ms),
      one.reason,
    ],
  }));
  show(place, make("h3", { class: "sub" }, "All rollouts"), makeTable("All rollouts", ["Release", "State", "Devices", "Started", { text: "Last word", kind: "text" }], rows));
}
