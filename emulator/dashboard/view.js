// The window on time that lanes and chart share: how much of it, from where, and whether it follows what happens.

import { Axis } from "./axis.js";

const FOLD = 0.06; // of the width, for time in which nothing happened
const NARROWEST = 0.05; // seconds across

/** The window on time that lanes and chart share. */
export class View {
  constructor() {
    this.axis = new Axis();
    this.width = 60; // seconds across
    this.all = false;
    this.following = true;
    this.end = 0; // its right edge, as a place on the axis
    this.folding = true;
    this.roomOfAll = 10; // seconds that a fold takes where all is shown
  }

  get begin() {
    return this.end - this.width;
  }

  update(moments, now) {
    if (this.all && moments.length) {
      // How much room a fold takes depends on how much there is, and the other way round.
      for (let round = 0; round < 6; round += 1) {
        this.axis.update(moments, this.folding ? this.roomOfAll : Infinity, now);
        this.width = Math.max(1, this.axis.place(now) * 1.02);
        const wanted = Math.max(0.05, this.width * FOLD * 0.5);
        if (!this.folding || (wanted < this.roomOfAll * 1.4 && wanted > this.roomOfAll * 0.6)) break;
        this.roomOfAll = wanted;
      }
    } else {
      this.axis.update(moments, this.folding ? Math.max(0.05, this.width * FOLD) : Infinity, now);
    }
    // A run that is younger than the window begins at its left edge.
    if (this.following || this.all) this.end = Math.max(this.axis.place(now) + this.width * 0.012, this.width * 0.99);
  }

  zoom(factor, around = 1) {
    const pivot = this.axis.moment(this.begin + this.width * around);
    this.all = false;
    this.width = Math.min(Math.max(this.width * factor, NARROWEST), 40 * 86400);
    this.keep = { pivot, around };
  }

  /** After a zoom the axis folds differently: put the moment under the pointer back where it was. */
  settle() {
    if (!this.keep) return;
    if (!this.following) this.end = this.axis.place(this.keep.pivot) + this.width * (1 - this.keep.around);
    this.keep = null;
  }

  pan(share) {
    this.following = this.all = false;
    this.end += this.width * share;
  }
}
