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
const known = { health: null, devices: [], everyDevice: [], activity: null, rollouts: [], rollout: null, streams: [], releases: null };
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
  const failed = activity ? activity.failed - activity.rescued : null;
  show(
    at("figures"),
    figure("Devices online", `${format.count(health.online)}`, ` of ${format.count(health.devices)}`, sayVersions()),
    figure("Requests per second", activity?.per_second === null || !activity ? format.UNKNOWN : format.figures(activity.per_second), "", `${format.count(activity?.requests)} in the newest intervals`),
    figure("Latency p95", format.milliseconds(activity?.p95_ms), "", `p50 ${format.milliseconds(activity?.p50_ms)}, p99 ${format.milliseconds(activity?.p99_ms)}`),
    figure("Requests failed", format.count(failed), "", activity?.rescued ? `${format.count(activity.rescued)} rescued by the previous release` : "none had to be rescued"),
    figure("Records stored", format.count(total.stored), ` of ${format.count(total.made)}`, `${format.count(total.lost)} known to be lost, ${format.count(total.missing)} on their way`),
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

function findChosenWindow() {
  const intervalMs = findInterval();
  chosen.rangeMs ??= intervalMs > 10_000 ? RANGES[2][1] : RANGES[0][1];
  at("range").value = String(chosen.rangeMs);
  return findWindow(now(), chosen.rangeMs, intervalMs);
}

const charts = { note: at("telemetry-note"), requests: at("chart-requests"), latency: at("chart-latency"), errors: at("chart-errors") };
let windowAsked = null;

function askTelemetry() {
  if (!known.activity) return null;
  windowAsked = findChosenWindow();
  return ["telemetry", { device: chosen.device, model: chosen.model, ...windowAsked }];
}

function refuseIn(place) {
  return (message) => show(place, note(message));
}

function start() {
  fill(at("range"), RANGES.map(([text, millis]) => [text, String(millis)]), "");
  fill(at("split"), [["release", "releases"], ["variant", "variants"]], chosen.split);
  showChoices();

  poll(link, { where: () => ["health"], everyMs: OFTEN_MS, refuse: refuseIn(at("figures")), show: (health) => {
    known.health = health;
    skewMs = health.now_ms - Date.now();
    showFigures();
    showFoot();
  } });
  poll(link, { where: () => ["activity"], everyMs: OFTEN_MS, refuse: refuseIn(at("machines")), show: (activity) => {
    known.activity = activity;
    showMachines(at("machines"), activity, chosen.device, chosen.model);
  } });
  poll(link, { where: () => ["devices"], everyMs: SOMETIMES_MS, refuse: refuseIn(at("device-list")), show: (devices) => {
    known.everyDevice = devices;
    showChoices();
  } });
  const askDevices = poll(link, { where: () => ["devices", { select: chosen.select }], everyMs: OFTEN_MS, refuse: refuseIn(at("device-list")), show: (devices) => {
    showDevices(at("device-list"), devices, known.activity, now());
  } });
  const askRollout = poll(link, { where: () => (known.shown ? [`rollouts/${encodeURIComponent(known.shown)}`] : null), everyMs: OFTEN_MS, refuse: refuseIn(at("rollout")), show: (view) => showRollout(at("rollout"), view, now()) });
  poll(link, { where: () => ["rollouts", { limit: 50 }], everyMs: OFTEN_MS, refuse: refuseIn(at("rollout-list")), show: (rollouts) => {
    known.rollouts = rollouts;
    chooseRollout(askRollout);
  } });
  const askCharts = poll(link, { where: askTelemetry, everyMs: SOMETIMES_MS, refuse: refuseIn(charts.note), show: (steps) => drawTelemetry(charts, steps, windowAsked, chosen.split) });
  poll(link, { where: () => ["releases"], everyMs: SELDOM_MS, refuse: refuseIn(at("release-list")), show: (list) => showReleases(at("release-list"), list, known.everyDevice) });
  poll(link, { where: () => ["audit"], everyMs: SOMETIMES_MS, refuse: refuseIn(at("audit")), show: (streams) => {
    known.streams = streams;
    showAudit(at("audit"), streams);
  } });
  poll(link, { where: () => ["events", { limit: 60 }], everyMs: OFTEN_MS, refuse: refuseIn(at("event-list")), show: (events) => showEvents(at("event-list"), events) });

  listen(askDevices, askRollout, askCharts);
}

function chooseRollout(ask) {
  const shown = findShown(known.rollouts, chosen.rollout);
  showRollouts(at("rollout-list"), known.rollouts, shown);
  if (shown === null) showRollout(at("rollout"), null, now());
  if (shown === known.shown) return;
  known.shown = shown;
  ask();
}

function listen(askDevices, askRollout, askCharts) {
  at("select").addEventListener("input", (event) => {
    chosen.select = event.target.value.trim();
    askDevices();
  });
  at("rollout-list").addEventListener("click", (event) => {
    const button = event.target.closest("[data-rollout]");
    if (!button) return;
    chosen.rollout = button.dataset.rollout;
    chooseRollout(askRollout);
  });
  for (const [id, take] of [["range", (value) => (chosen.rangeMs = Number(value))], ["device", (value) => (chosen.device = value)], ["model", (value) => (chosen.model = value)], ["split", (value) => (chosen.split = value)]]) {
    at(id).addEventListener("change", (event) => {
      take(event.target.value);
      askCharts();
    });
  }
  document.addEventListener("visibilitychange", () => document.hidden || [askDevices, askRollout, askCharts].forEach((ask) => ask()));
}

start();
