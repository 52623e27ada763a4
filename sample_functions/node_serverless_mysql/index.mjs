// Orders over serverless-mysql. The handler's name chooses how long its connection lives: leave, close, once, checked.

import serverlessMysql from "serverless-mysql";

const settings = {
  config: {
    host: process.env.DB_HOST,
    port: Number(process.env.DB_PORT),
    user: process.env.DB_USER,
    password: process.env.DB_PASSWORD,
    database: process.env.DB_NAME,
  },
};

// It connects with its first query, so this costs nothing yet.
const kept = serverlessMysql(settings);

let tableExists = false;
let count = 0;

/** The famous mistake: a new client for every event, and neither quit() nor end(). */
export async function leave(event) {
  count += 1;
  return takeOrder(serverlessMysql(settings), event);
}

/** A new client for every event, and quit(), which closes its connection. */
export async function close(event) {
  count += 1;
  const mysql = serverlessMysql(settings);
  try {
    return await takeOrder(mysql, event);
  } finally {
    mysql.quit();
  }
}

/** One client for as long as the environment lives, and never an end(): nobody looks at how full the server is. */
export async function once(event) {
  count += 1;
  return takeOrder(kept, event);
}

/**
 * As the library is meant: end() after every event. It closes nothing as long as there is room on the server; above
 * 80 % of max_connections it kills this user's oldest sleepers, and closes its own connection if there were none.
 */
export async function checked(event) {
  count += 1;
  try {
    // It sends what was on a lost connection again on a new one, each query by itself, and also within a transaction:
    // then COMMIT comes to a session that knows of no INSERT, and succeeds. Only another session number betrays it.
    const before = await sessionOf(kept).catch(again);
    const answer = await takeOrder(kept, event);
    if ((await sessionOf(kept)) !== before) throw new Error("the connection was lost within the transaction");
    return answer;
  } finally {
    await kept.end();
  }
}

async function takeOrder(mysql, event) {
  if (!tableExists) {
    await mysql.query(`
      CREATE TABLE IF NOT EXISTS orders (
        id BIGINT PRIMARY KEY AUTO_INCREMENT, item VARCHAR(64) NOT NULL, pieces INT NOT NULL,
        placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)`);
    tableExists = true;
  }
  const session = await sessionOf(mysql);
  if (event.show) {
    const [{ orders }] = await mysql.query("SELECT COUNT(*) AS orders FROM orders");
    return { orders, session, count };
  }
  const [{ insertId }] = await insert(mysql, event);
  return { order: insertId, session, count };
}

async function sessionOf(mysql) {
  // A path that has forgotten the connection never answers.
  const [{ session }] = await mysql.query({ sql: "SELECT CONNECTION_ID() AS session", timeout: 1000 });
  return session;
}

function again(error) {
  // The one loss after which the library connects anew, but does not ask again by itself.
  if (error.code !== "PROTOCOL_SEQUENCE_TIMEOUT") throw error;
  return sessionOf(kept);
}

function insert(mysql, { item = "tea", pieces = 2, hold = 0 }) {
  const transaction = mysql
    .transaction()
    .query("INSERT INTO orders (item, pieces) VALUES (?, ?)", [item, pieces])
    .rollback((error) => console.error("rolled back:", error.message));
  // Only the server can wait inside of this transaction: the library takes queries, not promises.
  if (hold) transaction.query("DO SLEEP(?)", [hold]);
  return transaction.commit();
}
