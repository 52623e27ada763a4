// The two tables: environments, and sessions of the database.

import { SESSION_WORDS } from "./states.js";
import { say, Table } from "./tables.js";
import { clock, count, short, span } from "./words.js";

const STATE_COLUMN = {
  make: (cell) => {
    const swatch = document.createElement("i");
    swatch.className = "swatch";
    cell.append(swatch, document.createElement("span"));
  },
};

/** A name may be long: what does not fit is in its title. */
const NAME = { make: (cell) => (cell.className = "name") };

function sayName(cell, name) {
  say(cell, name);
  if (cell.title !== name) cell.title = name;
}

const LINK = (cell) => {
  const button = document.createElement("button");
  button.className = "link mono";
  cell.append(button);
};

/** Environments; `now` is asked for the moment. */
export function environmentsTable(page, { now, choose }) {
  return new Table(page.querySelector("#environments"), {
    caption: "Environments",
    key: (row) => row.id,
    empty: page.querySelector("#environments-empty"),
    sorted: ["born", -1],
    onChoose: (row) => choose(row.id),
    columns: [
      {
        key: "id",
        title: "Environment",
        value: (row) => row.id,
        make: LINK,
        cell: (row, cell) => say(cell.firstChild, short(row.id)),
      },
      {
        key: "name",
        title: "Function",
        ...NAME,
        value: (row) => row.name,
        cell: (row, cell) => sayName(cell, row.name),
      },
      {
        key: "state",
        title: "State",
        ...STATE_COLUMN,
        value: (row) => row.now,
        cell: (row, cell) => {
          cell.firstChild.dataset.state = row.now;
          say(cell.lastChild, row.now);
        },
      },
      {
        key: "since",
        title: "For",
        number: true,
        value: (row) => -row.since,
        cell: (row, cell) => say(cell, span(now() - row.since)),
      },
      {
        key: "invocations",
        title: "Invocations",
        number: true,
        value: (row) => row.invocations,
        cell: (row, cell) => say(cell, count(row.invocations)),
      },
      {
        key: "freezes",
        title: "Freezes",
        number: true,
        value: (row) => row.freezes,
        cell: (row, cell) => say(cell, count(row.freezes)),
      },
      {
        key: "open",
        title: "Sessions",
        number: true,
        value: (row) => row.open,
        cell: (row, cell) => say(cell, count(row.open)),
      },
      {
        key: "born",
        title: "Born",
        number: true,
        value: (row) => row.born,
        cell: (row, cell) => say(cell, clock(row.born)),
      },
    ],
  });
}

/** Sessions, as the server lists them. */
export function sessionsTable(page, { choose }) {
  return new Table(page.querySelector("#sessions"), {
    caption: "Database sessions",
    key: (row) => row.environment,
    empty: page.querySelector("#sessions-empty"),
    onChoose: (row) => row.environment && choose(row.environment),
    columns: [
      {
        key: "id",
        title: "Session",
        number: true,
        value: (row) => row.id,
        cell: (row, cell) => say(cell, String(row.id)),
      },
      {
        key: "state",
        title: "State",
        ...STATE_COLUMN,
        value: (row) => row.state,
        cell: (row, cell) => {
          cell.firstChild.dataset.state = `session-${row.state}`;
          say(cell.lastChild, row.state === "asleep-frozen" ? "asleep, frozen" : SESSION_WORDS[row.state]);
        },
      },
      {
        key: "seconds",
        title: "For",
        number: true,
        value: (row) => row.seconds,
        cell: (row, cell) => say(cell, span(row.seconds)),
      },
      {
        key: "function",
        title: "Function",
        ...NAME,
        value: (row) => row.function ?? "",
        cell: (row, cell) => sayName(cell, row.function ?? "not ours"),
      },
      {
        key: "environment",
        title: "Environment",
        value: (row) => row.environment ?? "",
        make: LINK,
        cell: (row, cell) => {
          say(cell.firstChild, short(row.environment));
          cell.firstChild.hidden = !row.environment;
        },
      },
      {
        key: "drops",
        title: "Dropped in",
        number: true,
        value: (row) => row.drops_in ?? Infinity,
        cell: (row, cell) => say(cell, span(row.drops_in)),
      },
      {
        key: "locks",
        title: "Row locks",
        number: true,
        value: (row) => row.locked_rows ?? 0,
        cell: (row, cell) => say(cell, row.locked_rows ? count(row.locked_rows) : ""),
      },
    ],
  });
}

/** The state of a session, by what the server says of it and what is known of its environment. */
export function stateOf(row) {
  if (row.zombie) return "zombie";
  if (row.command !== "Sleep") return "active";
  return row.environment_state === "frozen" ? "asleep-frozen" : "asleep";
}
