// Colours and patterns for canvases, as the style sheet has them: made again when the theme or the size changes.

import { SESSION_STATES, STATES } from "./states.js";

const TILE = 8; // css pixels; every pattern fits into it without a seam

/** What canvases draw with. */
export class Paint {
  constructor(page) {
    this.page = page;
    this.refresh();
  }

  refresh() {
    const style = getComputedStyle(this.page);
    const read = (name) => style.getPropertyValue(name).trim();
    this.ratio = window.devicePixelRatio || 1;
    this.em = parseFloat(style.fontSize); // of the page: 16 px, more on a projector
    this.sans = read("--sans");
    this.mono = read("--mono");
    this.ink = read("--ink");
    this.muted = read("--muted");
    this.line = read("--line");
    this.grid = read("--grid");
    this.surface = read("--surface");
    this.accent = read("--accent");
    this.danger = read("--danger");
    this.select = read("--select");
    this.states = STATES.map((state) => this.#fill(state, read));
    this.sessions = Object.fromEntries(SESSION_STATES.map((state) => [state.name, this.#fill(state, read)]));
    this.zombies = this.#pattern("back", read("--s-zombie"), read("--s-zombie-ink"));
  }

  #fill({ name, pattern }, read) {
    const base = read(`--s-${name}`);
    const ink = read(`--s-${name}-ink`) || base;
    const edge = read(`--s-${name}-edge`) || ink;
    const isPlain = pattern === "outline" || pattern === "solid";
    return { pattern, base, ink, edge, fill: isPlain ? base : this.#pattern(pattern, base, ink) };
  }

  #pattern(kind, base, ink) {
    const size = TILE * this.ratio;
    const tile = new OffscreenCanvas(size, size);
    const context = tile.getContext("2d");
    context.scale(this.ratio, this.ratio);
    context.fillStyle = base;
    context.fillRect(0, 0, TILE, TILE);
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 1.25;
    DRAW[kind]?.(context);
    const pattern = context.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scaleSelf(1 / this.ratio));
    return pattern;
  }

  /** Let patterns travel with what they fill. */
  shift(x, y) {
    const matrix = new DOMMatrix().translateSelf(x % TILE, y % TILE).scaleSelf(1 / this.ratio);
    for (const { fill } of [...this.states, ...Object.values(this.sessions)]) {
      if (typeof fill !== "string") fill.setTransform(matrix);
    }
  }

  font(rem, { weight = 400, mono = false } = {}) {
    return `${weight} ${rem * this.em}px ${mono ? this.mono : this.sans}`;
  }
}

function strokes(context, lines) {
  context.beginPath();
  for (const [fromX, fromY, toX, toY] of lines) {
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
  }
  context.stroke();
}

const DRAW = {
  hatch: (context) => strokes(context, [[-2, 10, 10, -2], [-6, 6, 6, -6], [2, 14, 14, 2]]),
  back: (context) => {
    context.lineWidth = 2;
    strokes(context, [[-2, -2, 10, 10], [-6, 2, 6, 14], [2, -6, 14, 6]]);
  },
  fine: (context) => strokes(context, [[-2, 6, 6, -2], [-2, 10, 10, -2], [2, 10, 10, 2]]),
  bars: (context) => strokes(context, [[2, 0, 2, TILE], [6, 0, 6, TILE]]),
  lines: (context) => strokes(context, [[0, 2, TILE, 2], [0, 6, TILE, 6]]),
  cross: (context) => strokes(context, [[0, 8, 8, 0], [0, 0, 8, 8]]),
  dots: (context) => {
    for (const [x, y] of [[2, 2], [6, 6]]) context.fillRect(x - 0.75, y - 0.75, 1.5, 1.5);
  },
};
