// Quantities as people read them, the same way as edgekit's other faces: three figures, a unit, and "unknown" for what nobody could measure.

export const UNKNOWN = "unknown";

const isUnknown = (value) => value === null || value === undefined;

/** A value that is not negative, with three figures. */
export function figures(value) {
  if (value >= 99.95) return Math.round(value).toLocaleString("en-GB");
  return value.toFixed(value >= 9.995 ? 1 : 2);
}

export function count(value) {
  return isUnknown(value) ? UNKNOWN : value.toLocaleString("en-GB");
}

/** A number and its noun: "1 device", "3 devices". */
export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function milliseconds(value) {
  if (isUnknown(value)) return UNKNOWN;
  if (value < 0.9995) return `${figures(value * 1000)} µs`;
  return value < 999.5 ? `${figures(value)} ms` : `${figures(value / 1000)} s`;
}

export function rate(value) {
  return isUnknown(value) ? UNKNOWN : `${figures(value)}/s`;
}

export function share(value) {
  return isUnknown(value) ? UNKNOWN : `${(value * 100).toFixed(1)}\u00a0%`;
}

export function bytes(value) {
  if (isUnknown(value)) return UNKNOWN;
  const steps = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];
  const [unit, size] = steps.find(([, least]) => value >= least * 0.9995) ?? ["B", 1];
  return unit === "B" ? `${value} B` : `${figures(value / size)} ${unit}`;
}

export function megabytes(value) {
  return isUnknown(value) ? UNKNOWN : bytes(Math.round(value * 2 ** 20));
}

export function celsius(value) {
  return isUnknown(value) ? UNKNOWN : `${value.toFixed(0)} °C`;
}

export function millijoules(value) {
  if (isUnknown(value)) return UNKNOWN;
  return value < 999.5 ? `${figures(value)} mJ` : `${figures(value / 1000)} J`;
}

/** How long ago: "now", "12 s", "3 min", "5 h", "2 d". */
export function age(from, now) {
  const seconds = Math.max(0, Math.round((now - from) / 1000));
  if (seconds < 3) return "now";
  if (seconds < 100) return `${seconds} s ago`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} d ago`;
}

/** The time of day, with the date where that is not today's. */
export function clock(millis) {
  const at = new Date(millis);
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString("en-GB")} ${time}`;
}

/** A state's name in words. */
export function words(state) {
  return state.replaceAll("_", " ");
}

/** The start of a digest, which is enough to compare two by eye. */
export function digest(value) {
  return isUnknown(value) ? UNKNOWN : value.replace("sha256:", "").slice(0, 12);
}
