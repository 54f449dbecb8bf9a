// Releases, events, and the books of telemetry records.

import { badge, make, makeTable, note, show, under } from "./dom.js";
import * as format from "./format.js";

/** Put the releases into *place*, newest first, with how many of *summaries* serve each. */
export function showReleases(place, { releases }, summaries) {
  if (!releases.length) {
    show(place, note("The repository holds no release yet."));
    return;
  }
  const serving = new Map();
  for (const { status } of summaries) for (const model of status?.models ?? []) if (model.digest) serving.set(model.digest, (serving.get(model.digest) ?? 0) + 1);
  const rows = [...releases].reverse().map((one) => ({
    key: one.digest,
    cells: [`${one.name}@${one.version}`, format.digest(one.digest), serving.has(one.digest) ? format.counted(serving.get(one.digest), "device") : "none"],
  }));
  show(place, makeTable("Releases", ["Release", "Digest", { text: "Serve it", kind: "number" }], rows, "narrow"));
}

/** Put the event log into *place*. */
export function showEvents(place, events) {
  if (!events.length) {
    show(place, note("Nothing has happened yet."));
    return;
  }
  const rows = events.map((one) => ({
    key: String(one.id),
    cells: [format.clock(one.at_ms), badge(one.kind, "quiet"), one.subject, one.text],
  }));
  show(place, makeTable("Events, newest first", ["When", "Kind", "Of", { text: "What", kind: "text" }], rows));
}

/** All streams added up: {made, stored, pruned, lost, missing}, and the same for each device. */
export function addUp(streams) {
  const blank = () => ({ made: 0, stored: 0, pruned: 0, lost: 0, missing: 0, epochs: 0 });
  const total = blank();
  const devices = new Map();
  for (const one of streams) {
    if (!devices.has(one.device)) devices.set(one.device, blank());
    for (const sum of [total, devices.get(one.device)]) {
      for (const name of ["made", "stored", "pruned", "lost", "missing"]) sum[name] += one[name];
      sum.epochs += 1;
    }
  }
  return { total, devices };
}

/** Put the books into *place*: what was made is stored, known to be lost, or on its way. */
export function showAudit(place, streams) {
  if (!streams.length) {
    show(place, note("No device has sent a record yet."));
    return;
  }
  const { total, devices } = addUp(streams);
  const columns = ["made", "stored", "pruned", "lost", "missing"];
  const heads = ["Device", ...["Made", "Stored", "Past retention", "Lost", "On their way"].map((text) => ({ text, kind: "number" }))];
  const rows = [...devices].sort(([one], [other]) => one.localeCompare(other)).slice(0, 100).map(([device, sum]) => ({
    key: device,
    cells: [[make("span", { class: "name" }, device), under(format.counted(sum.epochs, "start"))], ...columns.map((name) => format.count(sum[name]))],
  }));
  show(
    place,
    make("p", { class: "sum" }, `${format.count(total.made)} made = ${format.count(total.stored)} stored + ${format.count(total.lost)} known to be lost`, total.missing ? ` + ${format.count(total.missing)} on their way` : "", total.pruned ? `. Of the stored, ${format.count(total.pruned)} are past retention and were removed` : ""),
    makeTable("Telemetry records by device", heads, rows, "narrow"),
  );
}
