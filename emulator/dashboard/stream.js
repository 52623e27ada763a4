// The timeline as it comes: caught up page by page, then followed live; begun anew where another run answers.

const API = "api";
const PAGE = 10_000; // events
const AGAIN = [250, 500, 1000, 2000]; // milliseconds

export async function get(path) {
  const answer = await fetch(`${API}/${path}`);
  if (!answer.ok) throw await problem(answer);
  return answer.json();
}

export async function send(method, path, body) {
  const answer = await fetch(`${API}/${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  if (!answer.ok) throw await problem(answer);
  return answer.json();
}

async function problem(answer) {
  const told = await answer.json().catch(() => ({}));
  const detail = Array.isArray(told.detail) ? told.detail.map((each) => each.msg).join("; ") : "";
  return new Error([told.error ?? told.Message ?? told.message ?? detail, told.cure].filter(Boolean).join(" ") || `status ${answer.status}`);
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
      } catch {
        // Nobody answers, or no longer: that is told below, and tried again.
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
