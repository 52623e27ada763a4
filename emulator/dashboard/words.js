// Numbers and moments in words for people. Pure.

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A span of `seconds` in at most two units: "8 h", "4 min 10 s", "12 s", "840 ms", "0.3 ms". */
export function span(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  if (seconds < 0) seconds = 0;
  if (seconds < 0.9995) {
    const ms = seconds * 1000;
    return `${ms < 9.95 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  }
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const first = UNITS.findIndex(([size]) => whole >= size);
  const [size, unit] = UNITS[first];
  const count = Math.floor(whole / size);
  const rest = UNITS[first + 1];
  const left = rest ? Math.floor((whole % size) / rest[0]) : 0;
  return left ? `${count} ${unit} ${left} ${rest[1]}` : `${count} ${unit}`;
}

/** A moment (seconds since the epoch) as local time: "14:03:22", with as many decimals as asked for. */
export function clock(at, decimals = 0) {
  const date = new Date(at * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const plain = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (!decimals) return plain;
  const fraction = String(date.getMilliseconds()).padStart(3, "0").slice(0, decimals);
  return `${plain}.${fraction}`;
}

/** "14 May, 14:03:22" */
export function moment(at) {
  const day = new Date(at * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short" });
  return `${day}, ${clock(at)}`;
}

/** The beginning of an environment's id, as everybody shows it. */
export function short(id) {
  return id ? id.slice(0, 8) : "";
}

/** 12345 as "12,345". */
export function count(number) {
  return number.toLocaleString("en-US");
}

/** "1 session", "2 sessions" */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** "12.3 MiB" */
export function mebibytes(bytes) {
  return bytes ? `${(bytes / 1048576).toFixed(bytes < 104857600 ? 1 : 0)} MiB` : "";
}
