// The states of environments and of sessions: what each is called, means and looks like. Colour never stands alone:
// each has a pattern of its own as well. The colours are in style.css, so that light and dark are one switch.

export const STATES = [
  { name: "starting", pattern: "dots", means: "the sandbox is being made" },
  { name: "init", pattern: "bars", means: "the code outside the handler runs" },
  { name: "idle", pattern: "outline", means: "it waits for the next event, not frozen" },
  { name: "freezing", pattern: "fine", means: "a freeze was asked for" },
  { name: "frozen", pattern: "hatch", means: "none of its processes runs" },
  { name: "thawing", pattern: "fine", means: "a thaw was asked for" },
  { name: "invoking", pattern: "solid", means: "it serves one event" },
  { name: "resetting", pattern: "cross", means: "its processes end after a failure, it stays" },
  { name: "shutting-down", pattern: "lines", means: "it is being ended" },
  { name: "gone", pattern: "none", means: "nothing is left of it" },
];

export const SESSION_STATES = [
  { name: "active", pattern: "solid", means: "in use by an invocation or an init" },
  { name: "asleep", pattern: "outline", means: "asleep, its environment is alive" },
  { name: "asleep-frozen", pattern: "hatch", means: "asleep, its environment is frozen and cannot answer" },
  { name: "zombie", pattern: "back", means: "its environment is gone, the server does not know" },
];

/** What is no state: diamonds. */
export const MARKS = [
  { name: "mark", told: "decision", means: "such as which environment serves, or that it is kept" },
  { name: "trouble", told: "trouble", means: "a failed invocation, a refused or broken connection" },
];

export const CODE = Object.fromEntries(STATES.map((state, index) => [state.name, index]));

/** What one word for a session stands for, in a sentence's middle. */
export const SESSION_WORDS = {
  active: "active",
  asleep: "asleep",
  "asleep-frozen": "asleep in a frozen environment",
  zombie: "zombie",
};
