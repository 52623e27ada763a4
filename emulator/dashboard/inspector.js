// The chosen environment: what it is, why it changed, and what it wrote.

import { CODE } from "./states.js";
import { get } from "./stream.js";
import { isBad, why } from "./telling.js";
import { clock, mebibytes, moment, plural, short, span } from "./words.js";

const MOST_CHANGES = 300;
const MOST_LOG = 400_000; // characters
const PASSING = new Set([CODE.freezing, CODE.thawing]);

export class Inspector {
  constructor(page, { model, live, logs }) {
    Object.assign(this, { model, live, logs });
    const find = (id) => page.querySelector(id);
    this.nothing = find("#inspector-nothing");
    this.something = find("#inspector-something");
    this.title = find("#inspector-title");
    this.state = find("#inspector-state");
    this.facts = find("#inspector-facts");
    this.changes = find("#inspector-changes");
    this.log = find("#inspector-log");
    this.tabs = [...page.querySelectorAll("#inspector [role=tab]")];
    this.environment = null;
    this.version = -1;
    this.more = {};
    this.#listen();
  }

  #listen() {
    this.tabs.forEach((tab, index) => {
      tab.addEventListener("click", () => this.#open(index));
      tab.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!way) return;
        const next = (index + way + this.tabs.length) % this.tabs.length;
        this.#open(next);
        this.tabs[next].focus();
      });
    });
  }

  #open(chosen) {
    this.tabs.forEach((tab, index) => {
      tab.ariaSelected = String(index === chosen);
      tab.tabIndex = index === chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = index !== chosen;
    });
    this.log.scrollTop = this.log.scrollHeight;
  }

  /** Show one, or what there is to choose. */
  async choose(environment) {
    if (environment === this.environment) return;
    this.environment = environment;
    this.version = -1;
    this.more = {};
    this.stop?.abort();
    this.nothing.hidden = Boolean(environment);
    this.something.hidden = !environment;
    this.log.replaceChildren();
    if (!environment) return;
    this.update(0, true);
    if (this.live) {
      this.#ask(environment);
      this.#followLog(environment);
    } else this.#append(this.logs?.[environment.id] ?? "");
    this.log.dataset.empty = this.live ? "It has written nothing yet." : "The report has no log of it.";
  }

  async #ask(environment) {
    if (environment.gone !== Infinity) return;
    try {
      const found = await get(`environments/${environment.id}`);
      if (environment === this.environment) this.more = found;
    } catch {
      this.more = {}; // it is gone
    }
    this.version = -1;
  }

  async #followLog(environment) {
    const stop = (this.stop = new AbortController());
    const name = encodeURIComponent(environment.name);
    try {
      const path = `api/functions/${name}/logs?environment=${environment.id}&tail=2000&follow=true`;
      const answer = await fetch(path, { signal: stop.signal });
      if (!answer.ok) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.#append(value);
      }
    } catch {
      // Another one was chosen, or the emulator has gone; the page tells of that elsewhere.
    }
  }

  /** Let go of the log while nobody looks: a browser has few connections for all its pages. */
  pause() {
    this.stop?.abort();
  }

  resume() {
    const { environment } = this;
    this.choose(null);
    this.choose(environment);
  }

  #append(text) {
    const { log } = this;
    const atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 24;
    log.append(text);
    while (log.textContent.length > MOST_LOG && log.firstChild !== log.lastChild) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  update(now, anyway = false) {
    const { environment } = this;
    if (!environment) return;
    const version = environment.at.length + environment.marks.length * 1e6;
    this.#facts(environment, now || Date.now() / 1000);
    if (version === this.version && !anyway) return;
    if (this.live && this.version !== -1) this.#ask(environment);
    this.version = version;
    this.title.textContent = `${environment.name} ${short(environment.id)}`;
    this.title.title = environment.id;
    this.state.firstElementChild.dataset.state = environment.now;
    this.state.lastElementChild.textContent = environment.now;
    this.#changes(environment);
  }

  #facts(environment, now) {
    const { more } = this;
    const facts = [
      environment.gone === Infinity
        ? ["In this state for", span(now - environment.since)]
        : ["Gone since", clock(environment.gone)],
      ["Born", moment(environment.born)],
      ["Invocations", String(environment.invocations)],
      ["Freezes", String(environment.freezes)],
      ["Sessions held", String(environment.open)],
      ["Memory, most", mebibytes(more.memory_bytes)],
      ["Address", more.sandbox?.address ?? ""],
    ];
    const { children } = this.facts;
    if (children.length !== facts.length) {
      this.facts.replaceChildren(
        ...facts.map(() => {
          const pair = document.createElement("div");
          pair.append(document.createElement("dt"), document.createElement("dd"));
          return pair;
        }),
      );
    }
    facts.forEach(([name, value], index) => {
      const [term, told] = children[index].children;
      children[index].hidden = !value;
      if (term.textContent !== name) term.textContent = name;
      if (told.textContent !== value) told.textContent = value;
    });
  }

  #changes(environment) {
    const lasting = environment.cause.filter((_, index) => !PASSING.has(environment.state[index]));
    const all = [...lasting, ...environment.marks];
    all.sort((a, b) => b.seq - a.seq);
    const shown = all.slice(0, MOST_CHANGES).map((event) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.className = "swatch";
      const word = event.kind.slice(event.kind.indexOf(".") + 1);
      const isState = event.kind.startsWith("environment.") && word in CODE;
      swatch.dataset.state = isState ? word : isBad(event) ? "trouble" : "mark";
      const time = document.createElement("time");
      time.textContent = clock(event.at, 3);
      const name = document.createElement("b");
      name.textContent = isState ? word : event.kind;
      const reason = document.createElement("span");
      reason.textContent = why(event);
      item.append(swatch, name, time, reason);
      return item;
    });
    if (all.length > MOST_CHANGES) {
      const rest = document.createElement("li");
      rest.textContent = `and ${plural(all.length - MOST_CHANGES, "earlier change")}`;
      shown.push(rest);
    }
    this.changes.replaceChildren(...shown);
  }
}
