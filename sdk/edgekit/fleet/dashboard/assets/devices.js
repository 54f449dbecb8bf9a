// The devices: what each is, what it serves, and how that goes.

import { badge, make, makeTable, note, show, under } from "./dom.js";
import * as format from "./format.js";
import { stateBadge } from "./states.js";

/** Devices before "show all" is asked for: what comes below should be found. */
const FIRST = 25;
const HEADS = ["Device", "Class", "Seen", "Serves", { text: "Deployment", kind: "text" }, { text: "Requests", kind: "number" }, { text: "p95", kind: "number" }, { text: "Failed", kind: "number" }];
let everything = false;

document.addEventListener("click", (event) => {
  if (event.target.id === "all-devices") everything = true;
});

/** Put *summaries* (as /devices answers) into *place*, with *activity* (as /activity answers) beside them. */
export function showDevices(place, summaries, activity, now) {
  if (!summaries.length) {
    show(place, note("No device here. An agent with this fleet in its agent.toml appears when it connects; a selection shows only those that it names."));
    return;
  }
  const doing = new Map((activity?.models ?? []).map((one) => [`${one.device}/${one.model}`, one]));
  const shown = everything ? summaries : summaries.slice(0, FIRST);
  const rows = shown.flatMap((one) => makeRows(one, doing, now));
  const more = summaries.length - shown.length;
  show(place, makeTable("Devices", HEADS, rows), more > 0 && make("button", { id: "all-devices", type: "button" }, `Show ${format.count(more)} more`));
}

function makeRows({ device, status }, doing, now) {
  const models = status?.models.length ? status.models : [null];
  return models.map((model) => ({
    key: `${device.id}/${model?.model ?? ""}`,
    cells: [
      nameDevice(device),
      [make("span", { class: "whole" }, device.device_class), device.accelerators.length ? under(device.accelerators.join(", ")) : null],
      saySeen(device, now),
      sayServing(model),
      sayDeployment(model?.deployment, status?.refused),
      ...sayActivity(doing.get(`${device.id}/${model?.model}`)),
    ],
  }));
}

function nameDevice(device) {
  const labels = Object.entries(device.labels).map(([name, value]) => make("span", { class: "label" }, `${name}=${value}`));
  return [make("span", { class: "name" }, device.id), device.simulated && badge("simulated", "warn"), labels.length ? make("span", { class: "labels" }, labels) : null];
}

function saySeen(device, now) {
  const state = device.online ? "online" : "offline";
  return [make("span", { class: `dot ${state}` }, state), under(format.age(device.last_seen_ms, now))];
}

function sayServing(model) {
  if (!model) return format.UNKNOWN;
  if (!model.release) return [model.model, under("nothing installed")];
  return [model.release, under([model.variant, model.runtime].filter(Boolean).join(" in "))];
}

function sayDeployment(deployment, refused) {
  const trouble = refused ? under(`refused: ${refused}`) : null;
  if (!deployment) return ["none", trouble];
  const detail = [deployment.release, deployment.reason].filter(Boolean).join(": ");
  return [stateBadge(deployment.state), under(detail), trouble];
}

function sayActivity(activity) {
  if (!activity) return [format.UNKNOWN, format.UNKNOWN, format.UNKNOWN];
  const rescued = activity.rescued ? under(`${format.count(activity.rescued)} rescued`) : null;
  const refused = activity.refused ? under(`${format.count(activity.refused)} bad inputs`) : null;
  return [format.rate(activity.per_second), [format.milliseconds(activity.p95_ms), under(`p50 ${format.milliseconds(activity.p50_ms)}`)], [format.count(activity.failed - activity.rescued), rescued, refused]];
}
