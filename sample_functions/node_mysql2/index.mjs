// Orders over mysql2. The handler's name chooses how long a connection lives: leave, close, connection, once, checked.

import { setTimeout } from "node:timers/promises";
import mysql from "mysql2/promise";

const settings = {
  host: process.env.DB_HOST,
  port: Number(process.env.DB_PORT),
  user: process.env.DB_USER,
  password: process.env.DB_PASSWORD,
  database: process.env.DB_NAME,
};

// One environment serves one event at a time, so one connection is enough. A pool that is never used opens none.
const pool = mysql.createPool({ ...settings, connectionLimit: 1 });

// mysql2 looks at idleTimeout only while maxIdle is below connectionLimit.
const checkedPool = mysql.createPool({ ...settings, connectionLimit: 2, maxIdle: 1, idleTimeout: 60_000 });

let kept;
let tableExists = false;
let count = 0;

/** The famous mistake: opened here, closed by nobody. Garbage collection does not close a socket. */
export async function leave(event) {
  count += 1;
  const connection = await mysql.createConnection(settings);
  return takeOrder(connection, event);
}

/** Opened here and closed here. Every event pays for a connection; a timeout or a crash never reaches the end(). */
export async function close(event) {
  count += 1;
  const connection = await mysql.createConnection(settings);
  try {
    return await takeOrder(connection, event);
  } finally {
    await connection.end();
  }
}

/** One connection for as long as the environment lives. When the server gives it up, every later event fails. */
export async function connection(event) {
  count += 1;
  kept ??= await mysql.createConnection(settings);
  return takeOrder(kept, event);
}

/** The pool as it comes: it drops a connection as soon as it hears that it is dead, but it does not ask. */
export async function once(event) {
  count += 1;
  const connection = await pool.getConnection();
  try {
    return await takeOrder(connection, event);
  } finally {
    connection.release();
  }
}

/** The pool, and a question before use: a connection that does not answer is replaced before work depends on it. */
export async function checked(event) {
  count += 1;
  const connection = await livingConnection();
  try {
    return await takeOrder(connection, event);
  } finally {
    connection.release();
  }
}

async function livingConnection() {
  const connection = await checkedPool.getConnection();
  try {
    // ping() has no time limit of its own, and a path that has forgotten the connection never answers.
    await connection.query({ sql: "DO 1", timeout: 1000 });
    return connection;
  } catch {
    connection.destroy();
    return checkedPool.getConnection();
  }
}

async function takeOrder(connection, event) {
  if (!tableExists) {
    await connection.query(`
      CREATE TABLE IF NOT EXISTS orders (
        id BIGINT PRIMARY KEY AUTO_INCREMENT, item VARCHAR(64) NOT NULL, pieces INT NOT NULL,
        placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)`);
    tableExists = true;
  }
  const [[{ session }]] = await connection.query("SELECT CONNECTION_ID() AS session");
  if (event.show) {
    const [[{ orders }]] = await connection.query("SELECT COUNT(*) AS orders FROM orders");
    return { orders, session, count };
  }
  const order = await insert(connection, event);
  return { order, session, count };
}

async function insert(connection, { item = "tea", pieces = 2, hold = 0 }) {
  await connection.beginTransaction();
  try {
    const [{ insertId }] = await connection.execute("INSERT INTO orders (item, pieces) VALUES (?, ?)", [item, pieces]);
    if (hold) await setTimeout(hold * 1000);
    await connection.commit();
    return insertId;
  } catch (error) {
    // What cannot even be rolled back must not serve again; the first error is the one to report.
    await connection.rollback().catch(() => connection.destroy());
    throw error;
  }
}
