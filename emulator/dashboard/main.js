// The page: puts the parts together, and says when each is to be drawn.

import { Actions } from "./actions.js";
import { ConnectionsChart } from "./chart.js";
import { Inspector } from "./inspector.js";
import { Lanes } from "./lanes.js";
import { environmentsTable, sessionsTable, stateOf } from "./lists.js";
import { Model } from "./model.js";
import { Paint } from "./paint.js";
import { MARKS, SESSION_STATES, SESSION_WORDS, STATES } from "./states.js";
import { get, Refused, Stream } from "./stream.js";
import { say } from "./tables.js";
import { View } from "./view.js";
import { clock, count, plural } from "./words.js";

const page = document;
const find = (id) => page.querySelector(id);
const recorded = find("#run") ? JSON.parse(find("#run").textContent) : null; // a report has its run with it

const model = new Model();
const view = new View();
const paint = new Paint(page.documentElement);
const lanes = new Lanes(page, { model, view, paint, onSelect: choose, onChange: wake, onFocus: speak });
const chart = new ConnectionsChart(page, { model, view, paint, lanes });
const inspector = new Inspector(page, { model, live: !recorded, logs: recorded?.logs });
const actions = recorded ? null : new Actions(page, { onDone: () => poll() });

let status = recorded?.status ?? null;
let sessions = [];
let summary = null;
let names = [];
let lost = 0;
let anchor = null; // a moment of the emulator's clock, and of the page's

// -- time --------------------------------------------------------------------------------------------------------

function now() {
  if (recorded) return recorded.until;
  const last = model.lastAt ?? Date.now() / 1000;
  if (!anchor || connection !== "live") return last;
  return Math.max(last, anchor.at + ((performance.now() - anchor.seen) / 1000) * (status?.speed ?? 1));
}

function hear(events) {
  model.apply(events);
  wake();
}

/** The emulator's clock says this now. An event says it as well, where it comes at once. */
function set(at) {
  anchor = { at, seen: performance.now() };
}

// -- drawing -----------------------------------------------------------------------------------------------------

const frames = new Float64Array(600); // milliseconds that the last ones took, for who measures
let drawn = 0;
let asked = false;
let shown = "";
let charted = "";
lanes.canvas.frames = { spent: frames, count: () => drawn };
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function wake() {
  if (asked || page.hidden) return;
  asked = true;
  requestAnimationFrame(frame);
}

function frame() {
  asked = false;
  const begin = performance.now();
  const at = now();
  view.update(model.at, at);
  view.settle();
  lanes.draw(at);
  const places = [view.begin, view.axis.place(at)].map(pixels);
  const seen = [model.counts.at.length, model.zombies, ...places, chart.limit].join();
  if (seen !== charted) chart.draw(at); // not where only the lanes were scrolled
  charted = seen;
  mark();
  frames[drawn % frames.length] = performance.now() - begin;
  drawn += 1;
  shown = where(at);
}

function pixels(place) {
  return Math.round((place / view.width) * lanes.width * paint.ratio);
}

/** How far time has come, in pixels: as long as this stays, and nothing happens, there is nothing to draw. */
function where(at) {
  return `${model.version}|${pixels(view.axis.place(at))}|${Math.floor(at)}`; // a fold that grows tells seconds
}

function tick() {
  if (!page.hidden && shown !== where(now())) wake();
  if (calm.matches) setTimeout(tick, 250);
  else requestAnimationFrame(tick);
}

// -- figures and tables ------------------------------------------------------------------------------------------

const environmentsList = environmentsTable(page, { now, choose });
const sessionsList = sessionsTable(page, { choose });
let tabled = -1;
const TROUBLES = {
  failed: "failed",
  throttled: "throttled",
  refused: "refused",
  unreached: "unreached",
  broken: "broken",
};

function figures() {
  if (page.hidden) return;
  const at = now();
  const held = new Map();
  let alive = 0;
  for (const environment of model.environments.values()) {
    if (environment.gone !== Infinity) continue;
    alive += 1;
    held.set(environment.now, (held.get(environment.now) ?? 0) + 1);
  }
  const order = STATES.filter((state) => held.has(state.name)).map((state) => `${held.get(state.name)} ${state.name}`);
  const limit = summary?.max_connections ?? null;
  const told = connection === "live" ? summary : null; // else the last events say what is left
  const total = told?.connected ?? model.sessions.size;
  const left = told?.zombies ?? model.zombies;
  figure("environments", count(alive), order.join(", ") || (model.coldStarts ? "none now" : "none yet"));
  figure("connections", count(total), limit ? `of ${count(limit)} · peak ${count(model.peak)}` : noDatabase());
  figure("zombies", count(left), left ? "sessions left behind" : "none left behind", left > 0);
  figure("invocations", count(model.invocations), `in ${plural(model.coldStarts, "environment")}`);
  const troubles = Object.entries(model.troubles).filter(([, times]) => times);
  const which = troubles.map(([what, times]) => `${count(times)} ${TROUBLES[what]}`).join(", ");
  const all = troubles.reduce((sum, [, times]) => sum + times, 0);
  figure("troubles", count(all), which || "nothing has failed", all > 0);
  chart.limit = limit;
  find("#kill").hidden = Boolean(recorded) || !left;
  if (tabled !== model.version || environmentsList.rows.length < 200) {
    tabled = model.version;
    const wanted = find("#with-gone").checked;
    environmentsList.update(
      [...model.environments.values()].filter(
        (row) => (wanted || row.gone === Infinity) && (!lanes.filter || row.name === lanes.filter),
      ),
    );
    sessionsList.update(sessions.filter((row) => !lanes.filter || row.function === lanes.filter));
  }
  inspector.update(at);
  find("#recycle-one").hidden = Boolean(recorded) || inspector.environment?.gone !== Infinity;
  find("#clock").textContent = clock(at);
  find("#lanes-empty").hidden = model.environments.size > 0;
  actions?.offer(names);
  say(find("#first"), actions?.name.value ? `Invoke ${actions.name.value}` : "");
  find("#first").hidden = !actions?.name.value;
  filters([...new Set([...names, ...model.functions.keys()])].filter(Boolean));
}

function noDatabase() {
  return status && !status.database ? "no database" : "";
}

function figure(name, value, small, bad = false) {
  const box = find(`#figure-${name}`);
  say(box.querySelector("dd"), value);
  say(box.querySelector("small"), small);
  box.title = small; // where there is little room for it
  box.classList.toggle("bad", bad);
}

function filters(all) {
  const select = find("#filter");
  if (select.options.length === all.length + 1) return;
  const chosen = select.value;
  select.replaceChildren(new Option("All functions", ""), ...all.map((name) => new Option(name, name)));
  select.value = all.includes(chosen) ? chosen : "";
  find("#no-function").hidden = Boolean(all[0]);
}

// -- choosing ----------------------------------------------------------------------------------------------------

function choose(id) {
  const environment = id ? (model.environments.get(id) ?? null) : null;
  lanes.selected = environment?.id ?? null;
  environmentsList.chosen = sessionsList.chosen = environment?.id ?? "none";
  if (actions) actions.chosen = environment;
  inspector.choose(environment);
  tabled = -1;
  figures();
  wake();
}

function speak(sentence) {
  find("#spoken").textContent = sentence;
}

// -- the emulator ------------------------------------------------------------------------------------------------

let connection = recorded ? "recorded" : "away";
let polling = false;

async function poll() {
  if (polling || page.hidden) return;
  polling = true;
  try {
    const [told, places] = await Promise.all([get("status"), get("concurrency")]);
    status = told;
    names = places.functions.map((each) => each.function);
    describe();
    if (status.database) {
      const found = await get("connections");
      summary = found.summary;
      sessions = found.connections.map((row) => ({ ...row, state: stateOf(row) }));
      model.reconcile(sessions, now());
    }
  } catch (error) {
    if (!(error instanceof Refused)) reportError(error); // else the stream tells that the emulator is away
  }
  polling = false;
  figures();
}

function describe() {
  const facts = [
    `${status.sandbox} sandboxes`,
    `freezer ${status.freezer.name}`,
    `network ${status.network_fidelity}`,
    status.database ?? "no database",
  ];
  if (status.speed > 1) facts.push(`time runs ${status.speed}×`);
  say(find("#facts"), facts.join(" · "));
  find("#facts").title = [`lambda-freezer ${status.version}`, ...status.notes].join("\n");
}

const SAYING = { live: "Live", away: "Waiting for the emulator", recorded: "A recorded run" };

function connected(state) {
  if (state !== connection) {
    connection = state;
    if (state === "live") poll();
  }
  find("#connection").dataset.state = state;
  say(find("#connection").lastElementChild, SAYING[state]);
  wake();
}

const stream = new Stream({
  onEvents: (events) => {
    hear(events);
    if (connection === "live") set(events[events.length - 1].at);
  },
  onNow: set,
  onRun: () => {
    model.reset();
    choose(null);
    [sessions, summary, anchor, lost] = [[], null, null, 0];
    find("#lost").hidden = true;
    actions.clear();
  },
  onLost: (number) => {
    lost += number;
    find("#lost").hidden = false;
    find("#lost").textContent = `${plural(lost, "event")} came too late for this page and are not shown.`;
  },
  onState: connected,
});

// -- how it looks ------------------------------------------------------------------------------------------------

function remember(key, value) {
  try {
    localStorage.setItem(`lambda-freezer.${key}`, value);
  } catch {
    // Where nothing may be kept, it is chosen anew the next time.
  }
}

function remembered(key) {
  try {
    return localStorage.getItem(`lambda-freezer.${key}`);
  } catch {
    return null;
  }
}

function restyle() {
  paint.refresh();
  lanes.resize();
  chart.rebuild();
  charted = "";
  wake();
}

function dress() {
  const theme = find("#theme");
  theme.value = remembered("theme") ?? "auto";
  const large = find("#large");
  large.checked = remembered("large") === "yes";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const put = () => {
    const dark = theme.value === "dark" || (theme.value === "auto" && system.matches);
    page.documentElement.dataset.theme = dark ? "dark" : "light";
    page.documentElement.dataset.size = large.checked ? "large" : "usual";
    restyle();
  };
  theme.addEventListener("change", () => (remember("theme", theme.value), put()));
  large.addEventListener("change", () => (remember("large", large.checked ? "yes" : "no"), put()));
  system.addEventListener("change", put);
  put();
  new ResizeObserver(restyle).observe(lanes.box);
}

function legend() {
  const add = (box, states, prefix) => {
    for (const { name, told, means } of states) {
      const item = page.createElement("li");
      const swatch = page.createElement("i");
      swatch.className = "swatch";
      swatch.dataset.state = prefix + name;
      item.title = means;
      item.append(swatch, told ?? (prefix ? SESSION_WORDS[name] : name));
      box.append(item);
    }
  };
  const lasting = STATES.filter((state) => !["freezing", "thawing", "gone"].includes(state.name));
  add(find("#legend-environments"), [...lasting, { name: "end", told: "gone", means: "nothing is left of it" }], "");
  add(find("#legend-sessions"), SESSION_STATES, "session-");
  add(find("#legend-sessions"), MARKS, "");
}

/** Buttons show what is in force, however it came about. */
function mark() {
  const press = (button, pressed) => {
    if (button.ariaPressed !== String(pressed)) button.ariaPressed = String(pressed);
  };
  press(find("#follow"), view.following);
  for (const button of page.querySelectorAll("[data-width]")) {
    press(button, button.dataset.width === "all" ? view.all : !view.all && Number(button.dataset.width) === view.width);
  }
}

function controls() {
  const follow = find("#follow");
  follow.addEventListener("click", () => {
    view.following = !view.following;
    if (!view.following) view.all = false;
    wake();
  });
  for (const button of page.querySelectorAll("[data-width]")) {
    button.addEventListener("click", () => {
      const middle = view.axis.moment(view.end - view.width / 2);
      view.all = button.dataset.width === "all";
      if (!view.all) view.zoom(Number(button.dataset.width) / view.width, 0.5);
      if (!view.following) view.keep = { pivot: middle, around: 0.5 };
      wake();
    });
  }
  find("#zoom-in").addEventListener("click", () => (view.zoom(0.5, view.following ? 1 : 0.5), wake()));
  find("#zoom-out").addEventListener("click", () => (view.zoom(2, view.following ? 1 : 0.5), wake()));
  find("#fold").addEventListener("change", (event) => ((view.folding = event.target.checked), wake()));
  find("#with-gone").addEventListener("change", () => ((tabled = -1), figures()));
  find("#filter").addEventListener("change", (event) => {
    lanes.filter = event.target.value;
    tabled = -1;
    figures();
    wake();
  });
  find("#first").addEventListener("click", () => actions?.invoke());
}

// -- begin -------------------------------------------------------------------------------------------------------

function unpack({ strings, events }) {
  const word = (index) => (index === null ? null : strings[index]);
  return events.map(([seq, at, kind, name, environment, request, reason, detail]) => ({
    seq,
    at,
    kind: word(kind),
    function: word(name),
    environment: word(environment),
    request_id: word(request),
    reason: word(reason),
    detail,
  }));
}

function showRecorded() {
  page.documentElement.dataset.mode = "report";
  connected("recorded");
  summary = recorded.summary;
  names = recorded.functions;
  model.apply(unpack(recorded));
  sessions = recorded.connections
    ? recorded.connections.map((row) => ({ ...row, state: stateOf(row) }))
    : [...model.sessions].map((session) => ({
        id: session.id ?? 0,
        environment: session.environment?.id ?? null,
        function: session.environment?.name ?? null,
        seconds: recorded.until - session.uses.at(-1),
        state: session.stateAt(recorded.until),
      }));
  view.all = true;
  view.following = false;
  find("#with-gone").checked = true;
  if (status) describe();
  for (const { tone, sentence } of recorded.verdicts) {
    const item = page.createElement("li");
    item.dataset.tone = tone;
    item.textContent = sentence;
    find("#verdicts ul").append(item);
  }
  find("#verdicts").hidden = false;
  say(find("#told-of"), recorded.title);
  figures();
  wake();
}

legend();
controls();
dress();
if (recorded) showRecorded();
else {
  connected("away");
  stream.start();
  setInterval(figures, 250);
  setInterval(poll, 1000);
  page.addEventListener("visibilitychange", () => {
    if (page.hidden) inspector.pause();
    else {
      inspector.resume();
      wake();
      poll();
    }
  });
}
tick();
