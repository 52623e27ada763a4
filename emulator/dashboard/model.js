// What the timeline's events add up to: environments, their states over time, their sessions, and the counts.
// Pure: no page, no network. Events come in order; everything is appended, nothing is looked at twice.

import { CODE, STATES } from "./states.js";

const MOST_EVENTS = 150_000;
const KEPT_EVENTS = 100_000;
const LATE = 5; // seconds by which a look at the server may be older than what the timeline has told meanwhile
const TROUBLES = { refused: "refused", failed: "unreached", broken: "broken" }; // of connections
const WORKING = new Set([CODE.init, CODE.invoking]);
const COLD = new Set([CODE.freezing, CODE.frozen, CODE.thawing]);

/** The last index whose value is at most `wanted`; -1 where there is none. */
export function indexAt(values, wanted) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

class Environment {
  constructor(id, name, born) {
    this.id = id;
    this.name = name; // of its function
    this.born = born;
    this.gone = Infinity;
    this.at = []; // when each state began
    this.state = []; // its code
    this.cause = []; // the event
    this.marks = []; // events that are no change of state, and are worth a look
    this.sessions = [];
    this.tracks = []; // until when each row below the lane is taken
    this.invocations = 0;
    this.freezes = 0;
    this.open = 0; // sessions that the server holds
    this.lastHeld = born; // when the last of its sessions ended, if any did
  }

  get now() {
    return this.state.length ? STATES[this.state[this.state.length - 1]].name : "starting";
  }

  get since() {
    return this.at.length ? this.at[this.at.length - 1] : this.born;
  }

  /** Until when there is anything of it to be seen. */
  get seenUntil() {
    if (this.gone === Infinity || this.open) return Infinity;
    return Math.max(this.gone, this.lastHeld);
  }

  /** The code of its state at a moment. */
  stateAt(at) {
    const index = indexAt(this.at, at);
    return index < 0 ? CODE.starting : this.state[index];
  }
}

class Session {
  constructor(environment, opened, cause) {
    this.environment = environment; // or null: nobody of ours
    this.id = null; // the server's, once it was seen there
    this.client = null;
    this.opened = opened;
    this.closed = Infinity;
    this.zombie = Infinity; // since when
    this.uses = [opened];
    this.request = cause?.request_id ?? null; // the invocation that opened it; its first use is told by that
    this.causes = [cause];
    this.track = 0;
    this.row = null; // what the server said of it last
  }

  /** Its spans between two moments: begin, end and state. */
  *spans(from, to) {
    const end = Math.min(this.closed, to);
    const begin = Math.max(this.opened, from);
    const owner = this.environment;
    if (end <= begin) return;
    if (!owner) {
      yield [begin, end, "asleep"];
      return;
    }
    let index = Math.max(0, indexAt(owner.at, begin));
    for (let at = begin; at < end; index += 1) {
      const until = Math.min(index + 1 < owner.at.length ? owner.at[index + 1] : Infinity, end);
      if (until <= at) continue;
      const code = owner.state[index];
      if (code === CODE.gone) yield [at, end, "zombie"];
      else if (WORKING.has(code)) yield* this.#working(at, until, owner, index);
      else yield [at, until, COLD.has(code) ? "asleep-frozen" : "asleep"];
      at = code === CODE.gone ? end : until;
    }
  }

  /** An invocation that uses it does so from its first word on; one that does not lets it sleep. */
  *#working(from, to, owner, index) {
    const began = Math.max(owner.at[index], this.opened);
    const mine = this.request !== null && owner.cause[index].request_id === this.request;
    const used = mine ? began : (this.uses[indexAt(this.uses, began - 1e-9) + 1] ?? Infinity);
    if (used >= to) yield [from, to, "asleep"];
    else {
      if (used > from) yield [from, used, "asleep"];
      yield [Math.max(from, used), to, "active"];
    }
  }

  stateAt(at) {
    for (const [, , state] of this.spans(at - 1e-6, at + 1e-6)) return state;
    return this.zombie !== Infinity ? "zombie" : "asleep";
  }
}

export class Model {
  constructor() {
    this.reset();
  }

  /** As at the beginning: another run. */
  reset() {
    this.events = [];
    this.last = 0; // number of the last event
    this.lost = 0; // events that fell out before anybody could read them
    this.version = 0; // goes up with every change
    this.environments = new Map();
    this.functions = new Map(); // name to its environments, oldest first
    this.sessions = new Set(); // those that the server holds
    this.sessionById = new Map();
    this.sessionByClient = new Map();
    this.invocations = 0;
    this.coldStarts = 0;
    this.troubles = { failed: 0, throttled: 0, refused: 0, unreached: 0, broken: 0 };
    this.zombies = 0;
    this.peak = 0;
    this.peakBefore = 0; // of what was forgotten
    this.ended = new Map(); // clients whose connection is over, and since when
    this.at = []; // of every event, for the time axis
    this.counts = { at: [], living: [], zombies: [] };
  }

  get firstAt() {
    return this.at.length ? this.at[0] : null;
  }

  get lastAt() {
    return this.at.length ? this.at[this.at.length - 1] : null;
  }

  /** Take in what happened next. */
  apply(events) {
    for (const event of events) {
      if (event.seq <= this.last) continue; // told twice, where a reader came back
      this.last = event.seq;
      this.events.push(event);
      this.at.push(this.lastAt === null ? event.at : Math.max(event.at, this.lastAt));
      this.#take(event);
    }
    this.version += 1;
    if (this.events.length > MOST_EVENTS) this.#forget();
  }

  /** What the server says of its sessions now: what the timeline could not tell, for it began later, is added. */
  reconcile(rows, at) {
    const there = new Set();
    for (const row of rows) {
      there.add(row.id);
      let session = this.sessionById.get(row.id);
      if (!session && at - (this.ended.get(row.client_address) ?? -Infinity) < LATE) continue;
      if (!session) {
        session = this.sessionByClient.get(row.client_address);
        if (!session || session.closed !== Infinity) {
          const owner = row.environment ? this.#environment(row.environment, row.function, this.firstAt ?? at) : null;
          session = this.#open(owner, Math.max(owner ? owner.born : 0, this.firstAt ?? at), null, row.client_address);
        }
        session.id = row.id;
        this.sessionById.set(row.id, session);
      }
      session.row = row;
      if (row.command !== "Sleep") session.uses.push(at);
      if (row.zombie) this.#zombie(session, at);
    }
    for (const session of [...this.sessions]) {
      if (session.id !== null && !there.has(session.id) && session.row) this.#close(session, at, null);
    }
    this.version += 1;
  }

  #forget() {
    const kept = this.events.slice(-KEPT_EVENTS);
    const dropped = this.lost + this.events.length - kept.length;
    const { invocations, coldStarts, troubles, peak } = this;
    const { version } = this;
    this.reset();
    this.apply(kept);
    this.lost = dropped;
    this.version += version;
    Object.assign(this, { invocations, coldStarts, troubles, peak, peakBefore: peak });
  }

  #take(event) {
    const dot = event.kind.indexOf(".");
    const subject = event.kind.slice(0, dot);
    const verb = event.kind.slice(dot + 1);
    const owner = event.environment ? this.#environment(event.environment, event.function, event.at) : null;
    if (subject === "environment" && owner) this.#environmentEvent(owner, verb, event);
    else if (subject === "connection") this.#connectionEvent(owner, verb, event);
    else if (subject === "session") this.#sessionEvent(owner, verb, event);
    else if (subject === "invocation") {
      if (verb === "finished") this.invocations += 1;
      const trouble = verb === "throttled" ? "throttled" : event.detail?.error ? "failed" : null;
      if (!trouble) return;
      this.troubles[trouble] += 1;
      if (owner) owner.marks.push(event);
    } else if (owner) owner.marks.push(event);
  }

  #environment(id, name, at) {
    let found = this.environments.get(id);
    if (!found) {
      found = new Environment(id, name ?? "", at);
      this.environments.set(id, found);
      this.#file(found);
    } else if (!found.name && name) {
      this.functions.get("").splice(this.functions.get("").indexOf(found), 1);
      found.name = name;
      this.#file(found);
    }
    return found;
  }

  #file(environment) {
    if (!this.functions.has(environment.name)) this.functions.set(environment.name, []);
    this.functions.get(environment.name).push(environment);
  }

  #environmentEvent(owner, verb, event) {
    const code = CODE[verb];
    if (code === undefined) {
      owner.marks.push(event);
      return;
    }
    owner.at.push(event.at);
    owner.state.push(code);
    owner.cause.push(event);
    if (code === CODE.starting) this.coldStarts += 1;
    if (code === CODE.invoking) owner.invocations += 1;
    if (code === CODE.frozen) owner.freezes += 1;
    if (code === CODE.gone) owner.gone = event.at;
  }

  #connectionEvent(owner, verb, event) {
    const source = event.detail && event.detail.source;
    const client = source ? `${source[0]}:${source[1]}` : null;
    const session = client && this.sessionByClient.get(client);
    if (verb === "opened") {
      if (session && session.closed === Infinity && !session.causes.length) this.#begin(session, event);
      else this.#open(owner, event.at, event, client);
      return;
    }
    if (verb in TROUBLES) this.troubles[TROUBLES[verb]] += 1;
    if (owner && (verb in TROUBLES || verb === "stale")) owner.marks.push(event);
    if (verb === "closed" && client) this.ended.set(client, event.at);
    if (!session) return;
    session.causes.push(event);
    if (verb === "refused") this.#withdraw(session);
    else if (verb === "used") session.uses.push(event.at);
    else if (verb === "zombie") this.#zombie(session, event.at);
    else if (verb === "closed") this.#close(session, event.at, event);
  }

  #sessionEvent(owner, verb, event) {
    const detail = event.detail ?? {};
    let session = this.sessionById.get(detail.session);
    if (verb === "opened") {
      const known = this.sessionByClient.get(detail.client);
      session = known && known.closed === Infinity ? known : this.#open(owner, event.at, null, detail.client);
      if (!session.causes.length) session.opened = session.uses[0] = event.at; // a look at the server came first
      session.id = detail.session;
      session.causes.push(event);
      this.sessionById.set(detail.session, session);
    } else if (session) {
      session.causes.push(event);
      if (verb === "zombie") this.#zombie(session, event.at);
      else if (verb === "closed") this.#close(session, event.at, event);
    }
  }

  #open(owner, at, cause, client) {
    const session = new Session(owner, at, cause);
    if (!cause) session.causes.pop();
    session.client = client;
    if (client) this.sessionByClient.set(client, session);
    this.sessions.add(session);
    this.ended.delete(client);
    if (owner) {
      const free = owner.tracks.findIndex((until) => until <= at);
      session.track = free < 0 ? owner.tracks.length : free;
      owner.tracks[session.track] = Infinity;
      owner.sessions.push(session);
      owner.open += 1;
    }
    this.#count(at);
    session.counted = this.counts.at.length - 1;
    return session;
  }

  /** A look at the server came first: now it is known when, and for which invocation. */
  #begin(session, event) {
    session.opened = session.uses[0] = event.at;
    session.request = event.request_id;
    session.causes.push(event);
  }

  /** The server did not let it in: there was a connection for a moment, and never a session. */
  #withdraw(session) {
    const { counts } = this;
    const owner = session.environment;
    session.closed = session.opened;
    this.sessions.delete(session);
    this.sessionByClient.delete(session.client);
    if (owner) {
      owner.sessions.splice(owner.sessions.lastIndexOf(session), 1);
      owner.tracks[session.track] = session.opened;
      owner.open -= 1;
    }
    let highest = 0;
    for (let index = session.counted; index < counts.at.length; index += 1) {
      highest = Math.max(highest, counts.living[index] + counts.zombies[index]);
      counts.living[index] -= 1;
    }
    if (highest < this.peak) return;
    this.peak = counts.living.reduce((most, living, index) => Math.max(most, living + counts.zombies[index]), this.peakBefore);
  }

  #zombie(session, at) {
    if (session.zombie !== Infinity || session.closed !== Infinity) return;
    session.zombie = at;
    this.zombies += 1;
    this.#count(at);
  }

  #close(session, at, cause) {
    if (session.closed !== Infinity) return;
    session.closed = at;
    this.sessions.delete(session);
    if (session.id !== null) this.sessionById.delete(session.id);
    if (this.sessionByClient.get(session.client) === session) this.sessionByClient.delete(session.client);
    if (session.client) this.ended.set(session.client, at);
    if (session.zombie !== Infinity) this.zombies -= 1;
    const owner = session.environment;
    if (owner) {
      owner.tracks[session.track] = at;
      owner.open -= 1;
      owner.lastHeld = at;
    }
    this.#count(at, cause);
  }

  #count(at) {
    const { counts } = this;
    const living = this.sessions.size - this.zombies;
    const last = counts.at.length - 1;
    this.peak = Math.max(this.peak, this.sessions.size);
    if (last >= 0 && counts.at[last] >= at) {
      counts.living[last] = living;
      counts.zombies[last] = this.zombies;
      return;
    }
    counts.at.push(at);
    counts.living.push(living);
    counts.zombies.push(this.zombies);
  }
}
