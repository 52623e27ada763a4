// Tables of any length: a row is in the page only while it is in sight.

const AHEAD = 6; // rows beyond both edges

/** One table in a box that scrolls. A column: `key`, `title`, `cell(row, td)`, `value(row)` to sort by, `number`. */
export class Table {
  constructor(box, { caption, columns, key, empty, onChoose, sorted = [columns[0].key, 1] }) {
    Object.assign(this, { box, columns, key, onChoose });
    this.sorted = sorted;
    this.rows = [];
    this.chosen = null;
    this.empty = empty;
    this.table = document.createElement("table");
    this.table.createCaption().textContent = caption;
    this.table.caption.className = "unseen";
    const heads = this.table.createTHead().insertRow();
    for (const column of columns) heads.append(this.#head(column));
    this.before = this.table.createTBody().insertRow();
    this.body = this.table.createTBody();
    this.after = this.table.createTBody().insertRow();
    for (const row of [this.before, this.after]) {
      row.ariaHidden = "true";
      row.className = "spacer";
      row.insertCell().colSpan = columns.length;
    }
    box.append(this.table);
    box.append(empty);
    box.addEventListener("scroll", () => this.#render(), { passive: true });
    this.#mark();
  }

  #head(column) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.dataset.key = column.key;
    if (column.number) cell.className = "number";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => {
      this.sorted = [column.key, this.sorted[0] === column.key ? -this.sorted[1] : 1];
      this.#mark();
      this.update(this.rows);
    });
    cell.append(button);
    return cell;
  }

  #mark() {
    for (const cell of this.table.tHead.rows[0].cells) {
      const mine = cell.dataset.key === this.sorted[0];
      cell.ariaSort = mine ? (this.sorted[1] > 0 ? "ascending" : "descending") : "none";
    }
  }

  update(rows) {
    const column = this.columns.find((each) => each.key === this.sorted[0]);
    const way = this.sorted[1];
    const compare = (a, b) => {
      const [left, right] = [column.value(a), column.value(b)];
      return (left < right ? -1 : left > right ? 1 : 0) * way;
    };
    this.rows = [...rows].sort(compare);
    this.table.ariaRowCount = String(this.rows.length + 1);
    this.table.hidden = !this.rows.length;
    this.empty.hidden = Boolean(this.rows.length);
    this.#render();
  }

  #render() {
    if (!this.rows.length) {
      this.body.replaceChildren();
      return;
    }
    const height = this.body.rows[0]?.offsetHeight || 30;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - AHEAD);
    const wanted = Math.min(this.rows.length, first + Math.ceil(this.box.clientHeight / height) + 2 * AHEAD);
    while (this.body.rows.length > wanted - first) this.body.deleteRow(-1);
    while (this.body.rows.length < wanted - first) this.body.append(this.#row());
    for (let index = first; index < wanted; index += 1) this.#fill(this.body.rows[index - first], index);
    this.before.cells[0].style.height = `${first * height}px`;
    this.after.cells[0].style.height = `${(this.rows.length - wanted) * height}px`;
  }

  #row() {
    const row = document.createElement("tr");
    for (const column of this.columns) {
      const cell = row.insertCell();
      if (column.number) cell.className = "number";
      column.make?.(cell);
    }
    row.addEventListener("click", () => this.onChoose?.(row.item));
    return row;
  }

  #fill(row, index) {
    const item = this.rows[index];
    row.item = item;
    row.ariaRowIndex = String(index + 2);
    row.classList.toggle("chosen", this.key(item) === this.chosen);
    this.columns.forEach((column, at) => column.cell(item, row.cells[at]));
  }
}

/** Let a cell say this, and touch the page only where that is new. */
export function say(cell, told) {
  if (cell.textContent !== told) cell.textContent = told;
}
