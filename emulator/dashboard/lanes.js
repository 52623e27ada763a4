// The lanes: environments over time, their invocations, and below each the database sessions it holds.
// Only what is in sight is drawn, however many there are.

import { indexAt } from "./model.js";
import { CODE } from "./states.js";
import { isBad, tell } from "./telling.js";
import { clock, plural, short, span } from "./words.js";

const MOST_TRACKS = 12; // rows of sessions below one lane
const BUSY = new Set([CODE.invoking, CODE.init, CODE.resetting]);

export class Lanes {
  constructor(page, { model, view, paint, onSelect, onChange, onFocus }) {
    Object.assign(this, { model, view, paint, onSelect, onChange, onFocus });
    this.box = page.querySelector("#lanes");
    this.canvas = page.querySelector("#lanes-canvas");
    this.spacer = page.querySelector("#lanes-spacer");
    this.tip = page.querySelector("#tip");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.rows = [];
    this.selected = null;
    this.cursor = null; // of the keyboard: environment and which of its changes
    this.pointer = null;
    this.filter = "";
    this.#listen();
    this.resize();
  }

  resize() {
    const { ratio, em } = this.paint;
    this.width = this.box.clientWidth;
    this.height = this.box.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.gutter = Math.round(em * (this.width < 560 ? 5.75 : 9.5));
    this.head = Math.round(em * 1.75);
    this.bar = Math.round(em * 1.125);
    this.track = Math.round(em * 0.5);
    this.gap = Math.round(em * 0.625);
    this.title = Math.round(em * 2.125);
    this.right = Math.round(em * 0.5);
  }

  x(place) {
    return this.gutter + ((place - this.view.begin) / this.view.width) * (this.width - this.gutter - this.right);
  }

  placeAt(x) {
    return this.view.begin + ((x - this.gutter) / (this.width - this.gutter - this.right)) * this.view.width;
  }

  // -- which rows there are ------------------------------------------------------------------------------------

  #lay(now) {
    const { axis, begin, end } = this.view;
    const from = axis.moment(begin);
    const to = Math.min(axis.moment(end), now);
    const rows = [];
    let y = this.head;
    for (const [name, environments] of this.model.functions) {
      if (this.filter && name !== this.filter) continue;
      const head = { name, y, height: this.title, count: 0, sessions: 0 };
      for (const environment of environments) {
        if (environment.born > to || environment.seenUntil < from) continue;
        if (!head.count) {
          rows.push(head);
          y += this.title;
        }
        head.count += 1;
        const tracks = this.#tracks(environment, from, to);
        const shown = Math.min(tracks, MOST_TRACKS);
        const height = this.bar + (shown ? 2 + shown * this.track : 0) + this.gap;
        rows.push({ environment, y, height, shown, hidden: tracks - shown });
        y += height;
      }
    }
    this.rows = rows;
    this.total = y + this.gap;
    this.span = [from, to];
  }

  #tracks(environment, from, to) {
    if (environment.open === environment.tracks.length) return environment.tracks.length;
    let most = 0;
    const { sessions } = environment;
    for (let index = sessions.length - 1; index >= 0 && most < environment.tracks.length; index -= 1) {
      const session = sessions[index];
      if (session.closed >= from && session.opened <= to) most = Math.max(most, session.track + 1);
    }
    return most;
  }

  #firstRow(y) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].y + this.rows[middle].height <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // -- drawing -------------------------------------------------------------------------------------------------

  draw(now) {
    this.#lay(now);
    this.now = now;
    const tall = `${Math.max(0, Math.round(this.total - this.height))}px`;
    if (this.spacer.style.height !== tall) this.spacer.style.height = tall;
    const top = this.box.scrollTop;
    const { context, paint } = this;
    context.setTransform(paint.ratio, 0, 0, paint.ratio, 0, 0);
    context.fillStyle = paint.surface;
    context.fillRect(0, 0, this.width, this.height);
    paint.shift(this.x(0) % 8, -top % 8);
    this.#grid();
    context.save();
    context.beginPath();
    context.rect(0, this.head, this.width, this.height - this.head);
    context.clip();
    for (let index = this.#firstRow(top + this.head); index < this.rows.length; index += 1) {
      const row = this.rows[index];
      if (row.y - top > this.height) break;
      if (row.environment) this.#row(row, row.y - top);
      else this.#name(row, row.y - top);
    }
    this.#cursor(top);
    context.restore();
    this.#hover();
  }

  #grid() {
    const { context, paint, view } = this;
    const wanted = Math.max(2, (this.width - this.gutter) / (paint.em * 6.5));
    this.ticks = view.axis.ticks(view.begin, view.end, wanted);
    const decimals = this.ticks.step >= 1 ? 0 : this.ticks.step >= 0.1 ? 1 : 3;
    context.font = paint.font(0.75);
    context.textBaseline = "middle";
    context.textAlign = "center";
    const taken = [];
    for (const fold of this.#folds()) taken.push(this.#fold(fold, taken.at(-1)?.[1] ?? 0));
    let free = this.gutter;
    for (const { place, at } of this.ticks.found) {
      const x = Math.round(this.x(place)) + 0.5;
      if (x < this.gutter) continue;
      context.fillStyle = paint.grid;
      context.fillRect(x - 0.5, this.head, 1, this.height - this.head);
      const told = clock(at, decimals);
      const half = context.measureText(told).width / 2 + 6;
      if (x - half < free || x + half > this.width + 4) continue;
      if (taken.some(([begin, end]) => x - half < end && x + half > begin)) continue;
      context.fillStyle = paint.muted;
      context.fillText(told, x, this.head * 0.5);
      free = x + half;
    }
    context.fillStyle = paint.line;
    context.fillRect(0, this.head - 1, this.width, 1);
  }

  /** Folds in sight; those that touch are one to the eye, as hours that were skipped and in which one thing was due. */
  #folds() {
    const { view } = this;
    const pixel = view.width / Math.max(1, this.width - this.gutter);
    const found = [];
    for (const { from, to, seconds } of view.axis.folds(view.begin, view.end)) {
      if (seconds < 2 * view.axis.limit) continue; // hardly folded at all
      const last = found.at(-1);
      if (last && from - last.to < 3 * pixel) [last.to, last.seconds] = [to, last.seconds + (from - last.to) + seconds];
      else found.push({ from, to, seconds });
    }
    return found;
  }

  /** Time in which nothing happened: a band, with how long it was; answers from where to where that is told. */
  #fold({ from, to, seconds }, free) {
    const { context, paint } = this;
    const left = Math.max(this.gutter, this.x(from));
    const right = this.x(to);
    if (right <= left) return [free, free];
    context.fillStyle = paint.grid;
    context.globalAlpha = 0.5;
    context.fillRect(left, this.head, right - left, this.height - this.head);
    context.globalAlpha = 1;
    const told = span(seconds);
    const room = context.measureText(told).width + paint.em * 0.5;
    const begin = (left + right - room) / 2;
    if (right - left < room * 0.7 || begin < free) return [free, free];
    context.fillStyle = paint.accent;
    context.fillText(told, (left + right) / 2, this.head * 0.5);
    return [begin, begin + room];
  }

  #name(row, y) {
    const { context, paint } = this;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.font = paint.font(0.875, { weight: 600 });
    const at = y + row.height * 0.5;
    const told = plural(row.count, "environment");
    const name = row.name || "unknown function";
    const room = context.measureText(name).width + paint.em * 0.75;
    context.fillStyle = paint.ink;
    context.fillText(name, paint.em * 0.75, at);
    context.font = paint.font(0.75);
    context.fillStyle = paint.muted;
    context.fillText(told, paint.em * 0.75 + room, at);
  }

  #row(row, y) {
    const { context, paint } = this;
    const { environment } = row;
    const chosen = environment.id === this.selected;
    if (chosen || row === this.over?.row) {
      context.fillStyle = paint.select;
      context.globalAlpha = chosen ? 1 : 0.5;
      context.fillRect(0, y - this.gap / 2, this.width, row.height);
      context.globalAlpha = 1;
    }
    context.save();
    context.beginPath();
    context.rect(this.gutter, y - 3, this.width - this.gutter, row.height);
    context.clip();
    this.#life(environment, y);
    if (row.shown) this.#sessions(row, y + this.bar + 2);
    context.restore();
    this.#label(row, y);
  }

  #label({ environment, hidden }, y) {
    const { context, paint } = this;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.font = paint.font(0.8125, { mono: true });
    context.fillStyle = environment.gone === Infinity ? paint.ink : paint.muted;
    context.fillText(short(environment.id), paint.em * 0.75, y + this.bar / 2 + 1);
    if (this.gutter > paint.em * 8) {
      context.font = paint.font(0.75);
      context.textAlign = "right";
      context.fillStyle = paint.muted;
      context.fillText(environment.now, this.gutter - paint.em * 0.625, y + this.bar / 2 + 1);
    }
    if (hidden) {
      context.font = paint.font(0.6875);
      context.textAlign = "left";
      context.fillStyle = paint.muted;
      context.fillText(`+${hidden} more`, paint.em * 0.75, y + this.bar + this.track * (MOST_TRACKS - 0.5));
    }
  }

  /** The bar of one environment: each state from where it began to where the next one does. */
  #life(environment, y) {
    const { axis } = this.view;
    const [from, to] = this.span;
    const { at, state } = environment;
    let index = Math.max(0, indexAt(at, from));
    const last = indexAt(at, to);
    const crowded = last - index > this.width;
    let x = Math.max(this.gutter - 4, this.x(axis.place(Math.max(at[index] ?? from, from))));
    while (index <= last) {
      let until = index < last ? at[index + 1] : index + 1 < at.length ? Math.min(at[index + 1], to) : to;
      let code = state[index];
      if (crowded) {
        // More changes than pixels: a pixel is what weighs most in it.
        const end = axis.moment(this.placeAt(x + 1));
        let next = Math.max(index + 1, indexAt(at, end));
        if (next > last) next = last + 1;
        for (let looked = index; looked < Math.min(next, index + 8); looked += 1) {
          if (BUSY.has(state[looked])) code = state[looked];
        }
        index = next - 1;
        until = next <= last ? at[next] : to;
      }
      const end = this.x(axis.place(until));
      this.#state(code, x, end, y);
      x = end;
      index += 1;
    }
    if (environment.gone <= to) this.#end(environment, y);
    this.#marks(environment, y);
  }

  #state(code, from, to, y) {
    const { context, paint, bar } = this;
    const { fill, edge, pattern } = paint.states[code];
    if (code === CODE.gone) return;
    let width = to - from;
    if (BUSY.has(code)) width = Math.max(width, 2);
    else if (width < 0.4) return;
    if (pattern === "outline") {
      context.fillStyle = fill;
      context.fillRect(from, y + 1, width, bar - 2);
      context.fillStyle = edge;
      context.fillRect(from, y + 1, width, 1);
      context.fillRect(from, y + bar - 2, width, 1);
      return;
    }
    const inset = code === CODE.frozen || code === CODE.freezing || code === CODE.thawing ? 2 : 0;
    context.fillStyle = fill;
    context.fillRect(from, y + inset, width, bar - inset * 2);
    if (width > 3) {
      context.fillStyle = edge;
      context.fillRect(from, y + inset, 1, bar - inset * 2);
    }
  }

  /** Where it ended; and while the server still holds sessions of it, that there is nobody there. */
  #end(environment, y) {
    const { context, paint, bar } = this;
    const x = this.x(this.view.axis.place(environment.gone));
    const middle = y + bar / 2;
    if (environment.open || environment.lastHeld > environment.gone) {
      const until = environment.open ? this.span[1] : Math.min(environment.lastHeld, this.span[1]);
      context.strokeStyle = paint.muted;
      context.globalAlpha = 0.6;
      context.setLineDash([2, 4]);
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(Math.max(x + 6, this.gutter), Math.round(middle) + 0.5);
      context.lineTo(this.x(this.view.axis.place(until)), Math.round(middle) + 0.5);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    }
    const arm = bar * 0.22;
    context.strokeStyle = paint.ink;
    context.lineWidth = 1.75;
    context.beginPath();
    context.moveTo(x - arm, middle - arm);
    context.lineTo(x + arm, middle + arm);
    context.moveTo(x - arm, middle + arm);
    context.lineTo(x + arm, middle - arm);
    context.stroke();
  }

  /** What is no change of state and worth a look: a small diamond. */
  #marks(environment, y) {
    const { context, paint, bar } = this;
    const [from, to] = this.span;
    let before = -Infinity;
    for (let index = environment.marks.length - 1; index >= 0; index -= 1) {
      const event = environment.marks[index];
      if (event.at < from) break;
      if (event.at > to) continue;
      const x = this.x(this.view.axis.place(event.at));
      if (Math.abs(x - before) < 2) continue;
      before = x;
      const bad = isBad(event);
      const arm = bad ? 4.5 : 3;
      context.fillStyle = bad ? paint.danger : paint.muted;
      context.beginPath();
      context.moveTo(x, y + bar - arm);
      context.lineTo(x + arm, y + bar);
      context.lineTo(x, y + bar + arm);
      context.lineTo(x - arm, y + bar);
      context.fill();
    }
  }

  #sessions({ environment, shown }, y) {
    const { context, paint, track } = this;
    const { axis } = this.view;
    const [from, to] = this.span;
    const high = track - 2;
    const { sessions } = environment;
    const crowded = new Float64Array(shown).fill(Infinity);
    for (let index = sessions.length - 1; index >= 0; index -= 1) {
      const session = sessions[index];
      if (session.closed < from || session.opened > to || session.track >= shown) continue;
      const top = y + session.track * track;
      const begin = this.x(axis.place(session.opened));
      if (crowded[session.track] - begin < 0.5) continue; // a later one has this pixel
      crowded[session.track] = begin;
      let drawn = -Infinity;
      for (const [a, b, state] of session.spans(from, to)) {
        const left = this.x(axis.place(a));
        const right = this.x(axis.place(b));
        const { fill, edge, pattern } = paint.sessions[state];
        const width = Math.max(right - left, state === "active" ? 2 : 0.75);
        if (left + width - drawn < 0.75) continue;
        drawn = left + width;
        context.fillStyle = fill;
        if (pattern === "outline") {
          context.fillStyle = edge;
          context.fillRect(left, top + high / 2 - 1, width, 2);
        } else if (state === "asleep-frozen") {
          context.fillRect(left, top + 1, width, high - 2);
        } else context.fillRect(left, top, width, high);
      }
      if (begin >= this.gutter) {
        context.fillStyle = paint.ink;
        context.fillRect(begin - 0.75, top - 0.5, 1.5, high + 1);
      }
      if (session.closed <= to) {
        context.fillStyle = paint.muted;
        context.fillRect(this.x(axis.place(session.closed)) - 0.75, top - 0.5, 1.5, high + 1);
      }
    }
  }

  #cursor(top) {
    if (!this.cursor || !this.#hasFocus()) return;
    const row = this.rows.find((each) => each.environment === this.cursor.environment);
    if (!row) return;
    const { context, paint } = this;
    const { at } = row.environment;
    const { index } = this.cursor;
    const from = Math.max(this.gutter, this.x(this.view.axis.place(at[index])));
    const to = this.x(this.view.axis.place(Math.min(at[index + 1] ?? this.now, this.now)));
    context.strokeStyle = paint.ink;
    context.lineWidth = 2;
    context.strokeRect(from - 1, row.y - top - 1, Math.max(4, Math.min(to, this.width) - from) + 2, this.bar + 2);
  }

  // -- pointing ------------------------------------------------------------------------------------------------

  /** What is at a place of the canvas: a row, and in it a session, a mark or a change of state. */
  #find(x, y) {
    const top = this.box.scrollTop;
    if (y < this.head) return null;
    const row = this.rows[this.#firstRow(y + top)];
    if (!row || !row.environment || y + top < row.y - this.gap / 2) return null;
    const { environment } = row;
    if (x < this.gutter) return { row };
    const at = this.view.axis.moment(this.placeAt(x));
    const below = y + top - row.y - this.bar - 2;
    const near = (moment) => Math.abs(this.x(this.view.axis.place(moment)) - x);
    if (Math.abs(below + 2) < 6) {
      const mark = environment.marks.find((event) => near(event.at) < 6);
      if (mark) return { row, mark };
    }
    if (below > 0) {
      const track = Math.floor(below / this.track);
      for (const session of environment.sessions) {
        if (session.track === track && (session.opened <= at || near(session.opened) < 3) && at <= session.closed) {
          return { row, session, at: Math.min(Math.max(at, session.opened), this.now) };
        }
      }
    }
    let index = indexAt(environment.at, at);
    // What is too narrow to be hit is caught from beside it.
    const next = index + 1;
    if (next < environment.at.length && near(environment.at[next]) < 2) index = next;
    if (index < 0 || at > this.now) return { row };
    return { row, index };
  }

  #hover() {
    if (this.pointer) {
      const [x, y] = this.pointer;
      this.over = this.#find(x, y);
      const told = this.over && tell(this.over, this.now);
      if (told) this.#show(told, x, y);
      else this.#hide();
      return;
    }
    this.over = null;
    if (this.cursor && this.#hasFocus()) {
      const row = this.rows.find((each) => each.environment === this.cursor.environment);
      if (row) {
        const x = this.x(this.view.axis.place(row.environment.at[this.cursor.index]));
        const y = row.y - this.box.scrollTop + this.bar;
        this.#show(tell({ row, index: this.cursor.index }, this.now), Math.max(x, this.gutter), y);
        return;
      }
    }
    this.#hide();
  }

  #show({ state, title, reason, small }, x, y) {
    const { tip } = this;
    const key = `${state}|${title}|${reason}|${small.join()}`;
    if (tip.dataset.key !== key) {
      tip.dataset.key = key;
      const [head, why, print] = tip.children;
      head.firstElementChild.dataset.state = state ?? "";
      head.lastElementChild.textContent = title;
      why.textContent = reason;
      why.hidden = !reason;
      print.textContent = small.filter(Boolean).join(" · ");
    }
    tip.hidden = false;
    const left = Math.min(x + 14, this.width - tip.offsetWidth - 8);
    const above = y + 18 + tip.offsetHeight > this.height;
    const top = above ? y - tip.offsetHeight - 12 : y + 18;
    tip.style.transform = `translate(${Math.max(8, Math.round(left))}px, ${Math.max(0, Math.round(top))}px)`;
  }

  #hide() {
    this.tip.hidden = true;
  }

  #hasFocus() {
    return document.activeElement === this.box;
  }

  #listen() {
    const { box } = this;
    const place = (event) => {
      const { left, top } = this.canvas.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    let drag = null;
    box.addEventListener("pointermove", (event) => {
      this.pointer = place(event);
      if (drag !== null) {
        const moved = event.clientX - drag.x;
        if (Math.abs(moved) > 4 || drag.moved) {
          drag.moved = true;
          drag.x = event.clientX;
          this.view.pan(-moved / (this.width - this.gutter));
        }
      }
      this.onChange();
    });
    box.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.onChange();
    });
    box.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && event.pointerType === "mouse") drag = { x: event.clientX, moved: false };
    });
    window.addEventListener("pointerup", () => {
      const { moved } = drag ?? {};
      drag = moved ? { moved, x: 0 } : null;
      setTimeout(() => (drag = null));
    });
    box.addEventListener("click", (event) => {
      if (drag?.moved) return;
      const found = this.#find(...place(event));
      if (!found) return;
      if (found.index !== undefined) this.cursor = { environment: found.row.environment, index: found.index };
      this.onSelect(found.row.environment.id);
    });
    box.addEventListener("wheel", (event) => this.#wheel(event, place(event)), { passive: false });
    box.addEventListener("scroll", () => this.onChange(), { passive: true });
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("focus", () => {
      if (!this.cursor && this.rows.length) this.#move(0, 0);
      this.onChange();
    });
    box.addEventListener("blur", () => this.onChange());
  }

  #wheel(event, [x]) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const around = (x - this.gutter) / (this.width - this.gutter);
      this.view.zoom(Math.exp(event.deltaY * 0.004), Math.min(1, Math.max(0, around)));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.view.pan((event.deltaX || event.deltaY) / this.width);
    } else return;
    this.onChange();
  }

  #key(event) {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const ends = { Home: -Infinity, End: Infinity };
    if (event.key in steps) this.#move(...steps[event.key]);
    else if (event.key in ends) this.#move(0, ends[event.key]);
    else if (event.key === "PageUp" || event.key === "PageDown") this.#move(event.key === "PageUp" ? -10 : 10, 0);
    else if (event.key === "+" || event.key === "=") this.view.zoom(0.5, 1);
    else if (event.key === "-") this.view.zoom(2, 1);
    else if ((event.key === "Enter" || event.key === " ") && this.cursor) this.onSelect(this.cursor.environment.id);
    else if (event.key === "Escape") this.onSelect(null);
    else return;
    event.preventDefault();
    this.pointer = null;
    this.onChange();
  }

  /** Put the keyboard's cursor on another environment, or on another change of the same one. */
  #move(down, along) {
    const rows = this.rows.filter((row) => row.environment);
    if (!rows.length) return;
    const current = rows.findIndex((row) => row.environment === this.cursor?.environment);
    const row = rows[Math.min(Math.max(current < 0 ? 0 : current + down, 0), rows.length - 1)];
    const { environment } = row;
    const last = environment.at.length - 1;
    const before = row.environment === this.cursor?.environment ? this.cursor.index : last;
    const index = Math.min(Math.max(before + along, 0), Math.max(0, last));
    this.cursor = { environment, index };
    this.#reveal(row, environment.at[index]);
    const told = tell({ row, index }, this.now);
    this.onFocus([environment.name, short(environment.id), told.title, told.reason].filter(Boolean).join(", "));
  }

  #reveal(row, at) {
    const { box, view } = this;
    if (row.y - this.head < box.scrollTop) box.scrollTop = row.y - this.head - this.title;
    const bottom = row.y + row.height;
    if (bottom > box.scrollTop + this.height) box.scrollTop = bottom - this.height;
    const place = view.axis.place(at);
    const held = view.axis.place(row.environment.at[indexAt(row.environment.at, at) + 1] ?? this.now);
    if (place >= view.begin || held >= view.begin + view.width * 0.05) {
      if (place <= view.end) return;
    }
    view.following = view.all = false;
    view.end = place + view.width * 0.5;
  }
}
