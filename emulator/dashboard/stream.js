// The timeline as it comes: caught up page by page, then followed live; begun anew where another run answers.

const API = "api";
const PAGE = 10_000; // events
const AGAIN = [250, 500, 1000, 2000]; // milliseconds

/** The emulator does not answer, or does not do what it was asked for. */
export class Refused extends Error {}

export function get(path) {
  return ask(`${API}/${path}`, {});
}

export function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  return ask(`${API}/${path}`, { method, headers, body: JSON.stringify(body ?? {}) });
}

async function ask(url, options) {
  let answer;
  let told;
  try {
    answer = await fetch(url, options);
    told = await answer.json();
  } catch {
    throw new Refused("The emulator does not answer, or the connection broke off.");
  }
  if (answer.ok) return told;
  const detail = Array.isArray(told.detail) ? told.detail.map((each) => each.msg).join("; ") : "";
  const message = told.error ?? told.Message ?? told.message ?? detail;
  throw new Refused([message, told.cure].filter(Boolean).join(" ") || `status ${answer.status}`);
}

/** Nobody looks at a hidden page, and a browser has six connections for all pages of a server. */
function seen() {
  if (!document.hidden) return null;
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

/** Follows the timeline for ever, as long as the page is seen. */
export class Stream {
  constructor({ onEvents, onNow, onRun, onLost, onState }) {
    Object.assign(this, { onEvents, onNow, onRun, onLost, onState });
    this.run = null;
    this.last = 0;
    this.tries = 0;
  }

  async start() {
    for (;;) {
      await seen();
      try {
        await this.#catchUp();
        this.tries = 0;
        this.onState("live");
        await this.#follow();
      } catch (error) {
        if (!(error instanceof Refused)) reportError(error); // ours; else it is told below, and tried again
      }
      this.onState("away");
      await new Promise((done) => setTimeout(done, AGAIN[Math.min(this.tries++, AGAIN.length - 1)]));
    }
  }

  async #catchUp() {
    for (;;) {
      let found = await get(`timeline?since=${this.last}&limit=${PAGE}`);
      if (found.run !== this.run) {
        if (this.run !== null && this.last) found = await get(`timeline?since=0&limit=${PAGE}`);
        this.run = found.run;
        this.last = 0;
        this.onRun(found.run);
      }
      const first = found.events[0]?.seq;
      if (first > this.last + 1) this.onLost(first - this.last - 1);
      this.#take(found.events);
      this.onNow(found.now);
      if (!found.more) return;
    }
  }

  #take(events) {
    if (!events.length) return;
    this.last = events[events.length - 1].seq;
    this.onEvents(events);
  }

  #follow() {
    return new Promise((resolve) => {
      const source = new EventSource(`${API}/timeline/stream?since=${this.last}`);
      const end = () => {
        source.close();
        resolve();
      };
      source.onerror = end; // the browser would come back with the old number to whoever answers then
      source.onmessage = (message) => {
        if (!message.lastEventId.startsWith(`${this.run}:`)) end();
        else this.#take(JSON.parse(message.data));
      };
      source.addEventListener("lost", (message) => {
        const { from, to } = JSON.parse(message.data);
        this.onLost(to - from + 1);
        this.last = Math.max(this.last, to);
      });
      addEventListener("pagehide", end, { once: true });
      document.addEventListener("visibilitychange", end, { once: true });
    });
  }
}
