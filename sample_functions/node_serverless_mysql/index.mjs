// Orders over serverless-mysql. The handler's name chooses how long its connection lives: leave, close, once, checked.

import { setTimeout } from "node:timers/promises";
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
    await sessionOf(kept).catch(again);
    return await takeOrder(kept, event, insertOrFail);
  } finally {
    await kept.end();
  }
}

async function takeOrder(mysql, event, insert = insertByLibrary) {
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
  const order = await insert(mysql, event);
  return { order, session, count };
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

/**
 * What was on a lost connection the library sends again on a new one, each query by itself, and within a transaction
 * too: then COMMIT comes to a session that knows of no INSERT, and succeeds. There is an answer, and no order.
 */
async function insertByLibrary(mysql, { item = "tea", pieces = 2, hold = 0 }) {
  const transaction = mysql
    .transaction()
    .query("INSERT INTO orders (item, pieces) VALUES (?, ?)", [item, pieces])
    .rollback((error) => console.error("rolled back:", error.message));
  // Only the server can wait inside of this transaction: the library takes queries, not promises.
  if (hold) transaction.query("DO SLEEP(?)", [hold]);
  const [{ insertId }] = await transaction.commit();
  return insertId;
}

/** The same on the library's connection, past the library: nothing is sent twice. */
async function insertOrFail(mysql, { item = "tea", pieces = 2, hold = 0 }) {
  const client = mysql.getClient().promise();
  try {
    await client.beginTransaction();
    const [{ insertId }] = await client.query("INSERT INTO orders (item, pieces) VALUES (?, ?)", [item, pieces]);
    if (hold) await setTimeout(hold * 1000);
    await client.commit();
    return insertId;
  } catch (error) {
    // The library has not seen this error: without quit() it would go on with a connection that is none any more.
    await client.rollback().catch(() => mysql.quit());
    throw error;
  }
}
