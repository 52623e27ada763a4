// What is to be seen, in words: of a change its reason, of a session what has become of it.

import { SESSION_WORDS, STATES } from "./states.js";
import { clock, plural, short, span } from "./words.js";

/** What is pointed at in words: a title, a reason, and small print. */
export function tell({ row, index, session, mark, at }, now) {
  const { environment } = row;
  const who = `${environment.name} ${short(environment.id)}`;
  if (mark) return { state: isBad(mark) ? "trouble" : "mark", title: mark.kind, reason: why(mark), small: [clock(mark.at, 3), who] };
  if (session) {
    const state = session.stateAt(at);
    const cause = session.causes.findLast((event) => event && event.at <= at && event.reason);
    const small = [`open for ${span(Math.min(session.closed, now) - session.opened)}`, session.client ?? "", who];
    const title = `session ${session.id ?? ""} · ${SESSION_WORDS[state]}`;
    return { state: `session-${state}`, title, reason: cause?.reason ?? "", small };
  }
  if (index === undefined) {
    const small = [plural(environment.invocations, "invocation"), plural(environment.open, "open session")];
    return { state: environment.now, title: who, reason: environment.cause.at(-1)?.reason ?? "", small };
  }
  const cause = environment.cause[index];
  const until = environment.at[index + 1] ?? now;
  const small = [clock(cause.at, 3), who];
  if (cause.request_id) small.push(`request ${cause.request_id.slice(0, 8)}`);
  const name = STATES[environment.state[index]].name;
  const title = name === "gone" ? "gone" : `${name} for ${span(until - environment.at[index])}`;
  return { state: name, title, reason: cause.reason || STATES[environment.state[index]].means, small };
}

/** Whether a mark tells of something that went wrong. */
export function isBad(event) {
  return Boolean(event.detail?.error) || /\.(trouble|failed|refused|throttled|broken|stale|zombie)$/.test(event.kind);
}

/** The reason of an event; of a failed invocation that is its error. */
export function why(event) {
  return event.reason || (event.detail?.error ? `it ended with ${event.detail.error}` : "");
}
