// Telemetry as charts. The server adds up and merges; here it is only drawn.

import { make, makeTable, note, show } from "./dom.js";
import * as format from "./format.js";

const MINUTE = 60_000;
export const RANGES = [["5 minutes", 5 * MINUTE], ["15 minutes", 15 * MINUTE], ["1 hour", 60 * MINUTE], ["6 hours", 360 * MINUTE], ["1 day", 1440 * MINUTE], ["7 days", 10_080 * MINUTE]];
/** Steps that a chart has at most, and lengths that a step may have, so that it begins at a round time. */
const STEPS = 100;
const LENGTHS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600].map((seconds) => seconds * 1000);
/** How long an interval takes from its end to the store. */
const LAG_MS = 1500;

// Colours that readers with any kind of colour vision can tell apart (Okabe and Ito).
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#8a5a9e", "#b58900", "#56b4e9", "#a34a28", "#4d5b68"];
const [INK, GRID, AXIS] = ["#1d2733", "#e6eaef", "#b8c2cc"];

/** The window to ask for: whole steps of round times, none shorter than two of the devices' intervals, none that is still to be filled. */
export function findWindow(now, rangeMs, intervalMs) {
  const least = Math.max(rangeMs / STEPS, 2 * intervalMs, 1000);
  const step = LENGTHS.find((length) => length >= least) ?? LENGTHS.at(-1);
  const until = Math.floor((now - intervalMs - LAG_MS) / step) * step;
  return { since: until - Math.max(1, Math.round(rangeMs / step)) * step, until, step };
}

/** Draw *steps* (as /telemetry answers) of *window*; *split* is "releases" or "variants". */
export function drawTelemetry(places, steps, window, split) {
  const times = [];
  for (let start = window.since; start < window.until; start += window.step) times.push(start);
  const byTime = new Map(steps.map((one) => [one.start_ms, one]));
  const found = times.map((start) => byTime.get(start) ?? null);
  const seconds = window.step / 1000;
  show(places.note, !steps.length && note("Nothing was measured in this time."));
  draw(places.requests, times, window, layOut("requests per second"), nameParts(found, split).map((name, index) => column(name, found.map((one) => one && (one[split][name] ?? 0) / seconds), COLOURS[index % COLOURS.length])));
  draw(places.latency, times, window, layOut("milliseconds"), ["p50", "p95", "p99"].map((name, index) => line(name, found.map((one) => one && one[`${name}_ms`]), ["#56b4e9", "#0072b2", "#1d2733"][index])));
  const errors = [["failed", "#b3261e", (one) => one.failed - one.rescued], ["rescued by the previous release", "#d98a00", (one) => one.rescued], ["bad inputs", "#7a8794", (one) => one.refused]];
  draw(places.errors, times, window, layOut("requests in a step"), errors.map(([name, colour, pick]) => bars(name, found.map((one) => one && pick(one)), colour)));
}

function nameParts(found, split) {
  return [...new Set(found.flatMap((one) => Object.keys(one?.[split] ?? {})))].sort();
}

// Plotly takes a little HTML in its texts, and names come from devices.
const plain = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);

const column = (name, y, colour) => ({ type: "bar", name: plain(name), y, marker: { color: colour, opacity: 0.8 }, hovertemplate: "%{y:.3~s}/s" });
const line = (name, y, colour) => ({ type: "scatter", mode: "lines", name, y, line: { color: colour, width: 1.8 }, connectgaps: false, hovertemplate: "%{y:.3~f} ms" });
const bars = (name, y, colour) => ({ type: "bar", name, y, marker: { color: colour }, hovertemplate: "%{y}" });

function layOut(title) {
  const axis = { gridcolor: GRID, zeroline: false, linecolor: AXIS, ticks: "outside", tickcolor: AXIS, automargin: true, fixedrange: true };
  return {
    barmode: "stack",
    bargap: 0.08,
    height: 260,
    margin: { l: 56, r: 12, t: 8, b: 32 },
    hovermode: "x unified",
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal", bgcolor: "rgba(0,0,0,0)" },
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", size: 12, color: INK },
    paper_bgcolor: "#ffffff",
    plot_bgcolor: "#ffffff",
    xaxis: { ...axis, type: "date", showgrid: false },
    yaxis: { ...axis, rangemode: "tozero", title: { text: title, standoff: 10 } },
  };
}

function draw(place, times, window, layout, traces) {
  if (globalThis.Plotly === undefined) return;
  const local = times.map(toLocal);
  layout.xaxis.range = [toLocal(window.since), toLocal(window.until)];
  globalThis.Plotly.react(place, traces.map((trace) => ({ ...trace, x: local })), layout, { displayModeBar: false, responsive: true });
}

// Plotly knows no time zones: it is given the reader's own time.
function toLocal(millis) {
  return new Date(millis - new Date(millis).getTimezoneOffset() * MINUTE).toISOString().slice(0, 23);
}

/** Put what the machines say of themselves into *place*: the newest figures of each, from /activity. */
export function showMachines(place, activity, device, model) {
  const chosen = (activity?.models ?? []).filter((one) => (!device || one.device === device) && (!model || one.model === model));
  if (!chosen.length) {
    show(place, note("No device has reported in the last minutes."));
    return;
  }
  const heads = ["Device", { text: "Memory", kind: "number" }, { text: "CPU", kind: "number" }, { text: "Warmest", kind: "number" }, { text: "Energy", kind: "number" }];
  const rows = chosen.slice(0, 8).map((one) => ({
    key: `${one.device}/${one.model}`,
    cells: [make("span", { class: "name" }, one.device), format.megabytes(one.memory_mb), format.share(one.cpu_share), format.celsius(one.temperature_c), format.millijoules(one.energy_mj)],
  }));
  show(place, makeTable("The machines", heads, rows, "narrow"), chosen.length > rows.length && note(`${format.count(chosen.length - rows.length)} more: choose a device above.`));
}
