//! What the service does with its connection, however it came by it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sqlx::{Acquire, MySqlConnection};

#[derive(Deserialize)]
pub struct Order {
    #[serde(default = "tea")]
    item: String,
    #[serde(default = "one")]
    pieces: i32,
    /// Seconds between INSERT and COMMIT.
    #[serde(default)]
    hold: f64,
    #[serde(default)]
    show: bool,
}

fn tea() -> String {
    "tea".into()
}

fn one() -> i32 {
    1
}

#[derive(Serialize, Default)]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orders: Option<i64>,
    session: u64,
    count: u64,
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS orders (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    item VARCHAR(64) NOT NULL,
    pieces INT NOT NULL,
    placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)";

// What lives as long as the environment does.
static COUNT: AtomicU64 = AtomicU64::new(0);
static TABLE_MADE: AtomicBool = AtomicBool::new(false);

pub async fn serve(connection: &mut MySqlConnection, event: Order) -> Result<Answer, sqlx::Error> {
    let count = COUNT.fetch_add(1, Relaxed) + 1;
    if !TABLE_MADE.load(Relaxed) {
        sqlx::query(TABLE).execute(&mut *connection).await?;
        TABLE_MADE.store(true, Relaxed);
    }
    if event.show {
        show(connection, count).await
    } else {
        order(connection, event, count).await
    }
}

async fn show(connection: &mut MySqlConnection, count: u64) -> Result<Answer, sqlx::Error> {
    let (orders, session) = sqlx::query_as("SELECT COUNT(*), CONNECTION_ID() FROM orders")
        .fetch_one(connection)
        .await?;
    Ok(Answer {
        orders: Some(orders),
        session,
        count,
        ..Answer::default()
    })
}

async fn order(connection: &mut MySqlConnection, event: Order, count: u64) -> Result<Answer, sqlx::Error> {
    // A transaction that is dropped before its commit is rolled back.
    let mut transaction = connection.begin().await?;
    let order = sqlx::query("INSERT INTO orders (item, pieces) VALUES (?, ?)")
        .bind(event.item)
        .bind(event.pieces)
        .execute(&mut *transaction)
        .await?
        .last_insert_id();
    let session = sqlx::query_scalar("SELECT CONNECTION_ID()")
        .fetch_one(&mut *transaction)
        .await?;
    tokio::time::sleep(Duration::from_secs_f64(event.hold)).await;
    transaction.commit().await?;
    Ok(Answer {
        order: Some(order),
        session,
        count,
        ..Answer::default()
    })
}
