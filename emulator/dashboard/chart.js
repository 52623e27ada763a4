// Connections over time against max_connections, zombies apart; on the lanes' axis.

import { indexAt } from "./model.js";
import { clock, plural } from "./words.js";

export class ConnectionsChart {
  constructor(page, { model, view, paint, lanes }) {
    Object.assign(this, { model, view, paint, lanes });
    this.box = page.querySelector("#chart");
    this.caption = page.querySelector("#chart-caption");
    this.limit = null;
    this.hovered = null;
    this.plot = null;
  }

  /** Made anew: the size or the theme has changed. */
  rebuild() {
    this.plot?.destroy();
    const { paint } = this;
    const steps = uPlot.paths.stepped({ align: 1 });
    const off = { show: false };
    this.plot = new uPlot(
      {
        width: this.box.clientWidth,
        height: this.box.clientHeight,
        padding: [paint.em * 0.5, this.lanes.right, paint.em * 0.5, 0],
        legend: off,
        cursor: { y: false, points: off, drag: { x: false, y: false, setScale: false } },
        scales: {
          x: { time: false, range: () => [this.view.begin, this.view.end] },
          y: { range: () => [0, this.#top()] },
        },
        axes: [
          {
            size: 0,
            grid: { stroke: paint.grid, width: 1 },
            ticks: off,
            splits: () => (this.lanes.ticks ? this.lanes.ticks.found.map((tick) => tick.place) : []),
            values: (_plot, splits) => splits.map(() => ""),
          },
          {
            size: this.lanes.gutter,
            stroke: paint.muted,
            font: paint.font(0.75),
            gap: paint.em * 0.625,
            space: paint.em * 1.5,
            grid: { stroke: paint.grid, width: 1 },
            ticks: off,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000],
          },
        ],
        series: [
          {},
          { stroke: paint.danger, width: 1.5, fill: () => paint.zombies, paths: steps, points: off },
          { stroke: paint.accent, width: 1.5, fill: () => paint.states[4].base, paths: steps, points: off },
        ],
        hooks: { draw: [(plot) => this.#limitLine(plot)], setCursor: [(plot) => this.#point(plot)] },
      },
      [[], [], []],
      this.box,
    );
    this.plot.root.setAttribute("aria-hidden", "true"); // the caption says it in words
  }

  #top() {
    const most = Math.max(4, this.seen ?? 0);
    if (this.limit && most * 2.6 >= this.limit) return Math.max(this.limit, most) * 1.12;
    return Math.ceil(most * 1.25);
  }

  draw(now) {
    if (!this.plot) this.rebuild();
    const data = this.#columns(now);
    this.plot.setData(data, false);
    this.plot.setScale("x", { min: this.view.begin, max: this.view.end });
    if (!this.hovered) this.#tell(now);
  }

  /** At most two points a pixel: what a pixel holds at its peak, and at its end. */
  #columns(now) {
    const { counts } = this.model;
    const { axis, begin, end, width } = this.view;
    const places = [];
    const totals = [];
    const living = [];
    let index = Math.max(0, indexAt(counts.at, axis.moment(begin)));
    const last = indexAt(counts.at, Math.min(now, axis.moment(end)));
    const pixel = width / Math.max(200, this.box.clientWidth);
    this.seen = this.model.peak > 0 && this.view.all ? this.model.peak : 0;
    for (; index <= last; index += 1) {
      const place = Math.max(axis.place(counts.at[index]), begin);
      const total = counts.living[index] + counts.zombies[index];
      this.seen = Math.max(this.seen, total);
      const before = places.length - 1;
      if (before >= 1 && place - places[before - 1] < pixel) {
        totals[before - 1] = Math.max(totals[before - 1], total);
        [places[before], totals[before], living[before]] = [place, total, counts.living[index]];
      } else {
        places.push(place);
        totals.push(total);
        living.push(counts.living[index]);
      }
    }
    if (places.length) {
      places.push(Math.max(axis.place(now), places.at(-1)));
      totals.push(totals.at(-1));
      living.push(living.at(-1));
    }
    return [places, totals, living];
  }

  #limitLine(plot) {
    if (!this.limit) return;
    const { ctx, bbox } = plot;
    const { paint } = this;
    const hidden = this.limit > this.#top();
    const y = hidden ? bbox.top + 1 : Math.round(plot.valToPos(this.limit, "y", true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = paint.danger;
    ctx.lineWidth = paint.ratio * 1.25;
    if (!hidden) {
      ctx.setLineDash([6 * paint.ratio, 4 * paint.ratio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    } else ctx.fillStyle = paint.muted;
    ctx.font = paint.font(0.75 * paint.ratio);
    ctx.textAlign = "right";
    ctx.textBaseline = hidden ? "top" : "bottom";
    const told = hidden ? `max_connections ${this.limit}, far above` : `max_connections ${this.limit}`;
    ctx.fillText(told, bbox.left + bbox.width - 6 * paint.ratio, y + (hidden ? 3 : -3) * paint.ratio);
    ctx.restore();
  }

  #point(plot) {
    const { left } = plot.cursor;
    this.hovered = left >= 0 && this.model.counts.at.length ? this.view.axis.moment(plot.posToVal(left, "x")) : null;
    if (this.hovered !== null) this.#tell(this.hovered, clock(this.hovered, 1));
  }

  #tell(at, when = "now") {
    const { counts } = this.model;
    const index = indexAt(counts.at, at);
    const living = index < 0 ? 0 : counts.living[index];
    const zombies = index < 0 ? 0 : counts.zombies[index];
    const limit = this.limit ? ` of ${this.limit}` : "";
    const told = `${when}: ${living + zombies}${limit} held, ${plural(zombies, "zombie")}`;
    if (this.caption.textContent !== told) this.caption.textContent = told;
  }
}
