// Time on the screen. Quiet time, in which nothing happened at all, is folded: eight hours that were skipped take as
// little room as a few seconds, and what happened before and after stays readable. Pure.

import { indexAt } from "./model.js";

const STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  10800, 21600, 43200, 86400,
];

/** Maps moments to places: seconds of time in which something happens, from the first event. */
export class Axis {
  constructor() {
    this.limit = Infinity;
    this.#clear();
  }

  #clear() {
    this.origin = null;
    this.last = null;
    this.now = -Infinity;
    this.taken = 0; // events
    this.version = 0;
    this.begins = []; // of folds, in time
    this.ends = [];
    this.places = []; // where each begins
    this.saved = [0]; // seconds, by all folds before
  }

  /** Bring it up to the moments of the events, and to now; `limit` is the room that a fold takes, in seconds. */
  update(moments, limit, now) {
    if (limit !== this.limit || moments.length < this.taken || moments[0] !== this.origin) {
      this.limit = limit;
      this.#clear();
    }
    for (; this.taken < moments.length; this.taken += 1) {
      const at = moments[this.taken];
      if (this.origin === null) this.origin = this.last = at;
      if (at - this.last > limit) {
        this.begins.push(this.last);
        this.ends.push(at);
        this.places.push(this.last - this.origin - this.saved[this.saved.length - 1]);
        this.saved.push(this.saved[this.saved.length - 1] + at - this.last - limit);
      }
      this.last = at;
    }
    this.now = now;
  }

  /** Seconds since the last event. Longer than a fold, they are one that grows. */
  get #quiet() {
    return this.now - this.last;
  }

  get #placeOfLast() {
    return this.last - this.origin - this.saved[this.saved.length - 1];
  }

  place(at) {
    if (this.origin === null) return 0;
    if (at > this.last) {
      const part = this.#quiet > this.limit ? ((at - this.last) / this.#quiet) * this.limit : at - this.last;
      return this.#placeOfLast + Math.min(part, this.limit);
    }
    const index = indexAt(this.begins, at);
    if (index < 0 || at >= this.ends[index]) return at - this.origin - this.saved[index + 1];
    const part = (at - this.begins[index]) / (this.ends[index] - this.begins[index]);
    return this.places[index] + part * this.limit;
  }

  moment(place) {
    if (this.origin === null) return 0;
    const since = place - this.#placeOfLast;
    if (since > 0 && this.#quiet > this.limit) {
      return since < this.limit ? this.last + (since / this.limit) * this.#quiet : this.now + since - this.limit;
    }
    const index = indexAt(this.places, place);
    if (index >= 0 && place < this.places[index] + this.limit) {
      const part = (place - this.places[index]) / this.limit;
      return this.begins[index] + part * (this.ends[index] - this.begins[index]);
    }
    return place + this.origin + this.saved[index + 1];
  }

  /** Folds between two places: where each begins and ends, and how long it lasted. */
  folds(from, to) {
    const found = [];
    for (let index = Math.max(0, indexAt(this.places, from)); index < this.places.length; index += 1) {
      const place = this.places[index];
      if (place > to) break;
      if (place + this.limit > from) {
        found.push({ from: place, to: place + this.limit, seconds: this.ends[index] - this.begins[index] });
      }
    }
    const last = this.#placeOfLast;
    if (this.#quiet > this.limit && last + this.limit > from && last <= to) {
      found.push({ from: last, to: last + this.limit, seconds: this.#quiet });
    }
    return found;
  }

  /** Round moments between two places, at most `wanted` of them: place, moment and the step between them. */
  ticks(from, to, wanted) {
    const fits = STEPS.findIndex((size) => (to - from) / size <= wanted);
    let index = fits < 0 ? STEPS.length - 1 : fits;
    let found = this.#every(STEPS[index], from, to);
    // Between folds there may be hardly a round moment: then those of a smaller step serve.
    while (found.length < 3 && index > 0) {
      const more = this.#every(STEPS[index - 1], from, to);
      if (more.length > wanted) break;
      index -= 1;
      found = more;
    }
    return { step: STEPS[index], found };
  }

  #every(step, from, to) {
    const shift = new Date().getTimezoneOffset() * 60;
    const found = [];
    const folds = this.folds(from, to);
    let begin = from;
    for (const end of [...folds.map((fold) => fold.from), to]) {
      const first = this.moment(begin);
      const until = Math.min(this.moment(end - 1e-9), this.now); // nobody knows how far away the future is
      for (let at = Math.ceil((first - shift) / step) * step + shift; at <= until; at += step) {
        found.push({ place: this.place(at), at });
      }
      begin = folds.length ? folds.shift().to : to;
    }
    return found;
  }
}
