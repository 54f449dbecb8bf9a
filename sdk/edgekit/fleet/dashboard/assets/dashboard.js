// The page put together: what is asked, how often, and where it is shown.

import { Link, poll } from "./api.js";
import { addUp, showAudit, showEvents, showReleases } from "./books.js";
import { showDevices } from "./devices.js";
import { make, note, show } from "./dom.js";
import * as format from "./format.js";
import { findShown, showRollout, showRollouts } from "./rollouts.js";
import { drawTelemetry, findWindow, RANGES, showMachines } from "./telemetry.js";

const OFTEN_MS = 1500;
const SOMETIMES_MS = 3000;
const SELDOM_MS = 15_000;

const at = (id) => document.getElementById(id);
const known = { health: null, everyDevice: [], activity: null, rollouts: [], shown: null, streams: [], window: null };
const chosen = { select: "", rollout: null, device: "", model: "", split: "releases", rangeMs: null };
let skewMs = 0;

// The server's clock, since what it tells is in it.
const now = () => Date.now() + skewMs;

const link = new Link((one) => {
  document.body.classList.toggle("away", one.isUp === false);
  const since = one.heardMs ? `What is shown is of ${format.clock(one.heardMs)}.` : "";
  show(at("link"), one.isUp ? make("span", { class: "dot online" }, "live") : make("span", { class: "dot offline" }, `The server does not answer. ${since}`));
});

function showFigures() {
  const { health, activity } = known;
  if (!health) return;
  const { total } = addUp(known.streams);
  const forgotten = total.pruned ? `${format.count(total.pruned)} of them past retention, ` : "";
  const failed = activity ? activity.failed - activity.rescued : null;
  show(
    at("figures"),
    figure("Devices online", `${format.count(health.online)}`, ` of ${format.count(health.devices)}`, sayVersions()),
    figure("Requests per second", activity?.per_second === null || !activity ? format.UNKNOWN : format.figures(activity.per_second), "", `${format.count(activity?.requests)} in the newest intervals`),
    figure("Latency p95", format.milliseconds(activity?.p95_ms), "", `p50 ${format.milliseconds(activity?.p50_ms)}, p99 ${format.milliseconds(activity?.p99_ms)}`),
    figure("Requests failed", format.count(failed), "", activity?.rescued ? `${format.count(activity.rescued)} rescued by the previous release` : "none had to be rescued"),
    figure("Records stored", format.count(total.stored), ` of ${format.count(total.made)}`, `${forgotten}${format.count(total.lost)} known to be lost, ${format.count(total.missing)} on their way`),
  );
}

function figure(name, value, aside, detail) {
  return make("div", { class: "figure" }, make("div", { class: "key" }, name), make("div", { class: "value" }, value, aside ? make("small", {}, aside) : null), make("div", { class: "detail" }, detail));
}

function sayVersions() {
  const counts = new Map();
  for (const { status } of known.everyDevice) for (const model of status?.models ?? []) if (model.release) counts.set(model.release, (counts.get(model.release) ?? 0) + 1);
  return [...counts].sort().map(([release, count]) => `${count} × ${release}`).join(", ") || "none serves a release";
}

function showFoot() {
  const { health } = known;
  const broker = health.broker_up ? "answers" : "does not answer";
  show(at("foot"), `edgekit ${health.version}, up since ${format.clock(health.started_ms)}. The broker at `, make("code", {}, health.mqtt), ` ${broker}; ${format.counted(health.shards, "shard")}. Times are of this browser's zone.`);
}

function fill(select, options, value) {
  show(select, options.map(([text, key]) => make("option", { value: key }, text)));
  select.value = value;
}

function showChoices() {
  const models = known.everyDevice.flatMap(({ status }) => (status?.models ?? []).map((one) => one.model));
  fill(at("device"), [["all", ""], ...known.everyDevice.map(({ device }) => [device.id, device.id])], chosen.device);
  fill(at("model"), [["all", ""], ...[...new Set(models)].sort().map((name) => [name, name])], chosen.model);
}

function findInterval() {
  return Math.max(1000, ...(known.activity?.models ?? []).map((one) => one.interval_ms));
}

const charts = { note: at("telemetry-note"), requests: at("chart-requests"), latency: at("chart-latency"), errors: at("chart-errors") };

function askTelemetry() {
  if (!known.activity) return null;
  const intervalMs = findInterval();
  chosen.rangeMs ??= intervalMs > 10_000 ? RANGES[2][1] : RANGES[0][1];
  at("range").value = String(chosen.rangeMs);
  known.window = findWindow(now(), chosen.rangeMs, intervalMs);
  return ["telemetry", { device: chosen.device, model: chosen.model, ...known.window }];
}

function takeHealth(health) {
  known.health = health;
  skewMs = health.now_ms - Date.now();
  showFigures();
  showFoot();
}

function takeActivity(activity) {
  const isFirst = known.activity === null;
  known.activity = activity;
  showMachines(at("machines"), activity, chosen.device, chosen.model);
  if (isFirst) asks.charts();
}

function takeDevices(devices) {
  if (!chosen.select) takeEveryDevice(devices);
  showDevices(at("device-list"), devices, known.activity, now());
}

function takeEveryDevice(devices) {
  known.everyDevice = devices;
  showChoices();
}

function takeRollouts(rollouts) {
  known.rollouts = rollouts;
  const shown = findShown(rollouts, chosen.rollout);
  showRollouts(at("rollout-list"), rollouts, shown);
  if (shown === null) showRollout(at("rollout"), null, now());
  if (shown === known.shown) return;
  known.shown = shown;
  asks.rollout();
}

function takeAudit(streams) {
  known.streams = streams;
  showAudit(at("audit"), streams);
}

// Everything that is asked: what, how often, where the server's no is shown, and what becomes of its answer.
// prettier-ignore
const SOURCES = {
  health:   { everyMs: OFTEN_MS,     place: "figures",        where: () => ["health"],                              show: takeHealth },
  activity: { everyMs: OFTEN_MS,     place: "machines",       where: () => ["activity"],                            show: takeActivity },
  devices:  { everyMs: OFTEN_MS,     place: "device-list",    where: () => ["devices", { select: chosen.select }],  show: takeDevices },
  every:    { everyMs: SOMETIMES_MS, place: "device-list",    where: () => (chosen.select ? ["devices"] : null),    show: takeEveryDevice },
  rollouts: { everyMs: OFTEN_MS,     place: "rollout-list",   where: () => ["rollouts", { limit: 50 }],             show: takeRollouts },
  rollout:  { everyMs: OFTEN_MS,     place: "rollout",        where: () => known.shown && [`rollouts/${encodeURIComponent(known.shown)}`], show: (view) => showRollout(at("rollout"), view, now()) },
  charts:   { everyMs: SOMETIMES_MS, place: "telemetry-note", where: askTelemetry,                                  show: (steps) => drawTelemetry(charts, steps, known.window, chosen.split) },
  releases: { everyMs: SELDOM_MS,    place: "release-list",   where: () => ["releases"],                            show: (list) => showReleases(at("release-list"), list, known.everyDevice) },
  audit:    { everyMs: SOMETIMES_MS, place: "audit",          where: () => ["audit"],                               show: takeAudit },
  events:   { everyMs: OFTEN_MS,     place: "event-list",     where: () => ["events", { limit: 60 }],               show: (events) => showEvents(at("event-list"), events) },
};

fill(at("range"), RANGES.map(([text, millis]) => [text, String(millis)]), "");
fill(at("split"), [["release", "releases"], ["variant", "variants"]], chosen.split);
showChoices();
const asks = Object.fromEntries(
  Object.entries(SOURCES).map(([name, source]) => [name, poll(link, { ...source, refuse: (message) => show(at(source.place), note(message)) })]),
);

at("select").addEventListener("input", (event) => {
  chosen.select = event.target.value.trim();
  asks.devices();
});
at("rollout-list").addEventListener("click", (event) => {
  const button = event.target.closest("[data-rollout]");
  if (!button) return;
  chosen.rollout = button.dataset.rollout;
  takeRollouts(known.rollouts);
});
for (const name of ["device", "model", "split", "range"]) {
  at(name).addEventListener("change", (event) => {
    if (name === "range") chosen.rangeMs = Number(event.target.value);
    else chosen[name] = event.target.value;
    asks.charts();
  });
}
document.addEventListener("visibilitychange", () => document.hidden || Object.values(asks).forEach((ask) => ask()));
