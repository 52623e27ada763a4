//! An order service with sqlx.
//!
//! The name of the handler chooses how it holds its connection: leave, close, once or checked.

mod orders;

use std::{env, time::Duration};

use lambda_runtime::{run, service_fn, spawn_graceful_shutdown_handler, Error, LambdaEvent};
use sqlx::{
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    pool::PoolConnection,
    ConnectOptions, Connection, MySql, MySqlPool,
};

use orders::{serve, Answer, Order};

// An environment serves one event at a time, so one thread is enough.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = options()?;
    let options = &options;
    match env::var("_HANDLER")?.as_str() {
        "leave" => run(service_fn(|event| leave(options, event))).await,
        "close" => run(service_fn(|event| close(options, event))).await,
        "once" => {
            // The pool's defaults, among them a ping before a connection is used again. It dials when it has to.
            let pool = MySqlPoolOptions::new().connect_lazy_with(options.clone());
            let pool = &pool;
            run(service_fn(|event| once(pool, event))).await
        }
        "checked" => {
            let pool = MySqlPoolOptions::new()
                .max_connections(1)
                // Shorter than the patience of servers, firewalls and NAT gateways.
                .max_lifetime(Duration::from_secs(180))
                // The ping has no limit but this one: where the path has forgotten us, no answer ever comes.
                .acquire_timeout(Duration::from_secs(1))
                .connect_lazy_with(options.clone());
            let at_the_end = pool.clone();
            spawn_graceful_shutdown_handler(|| async move { at_the_end.close().await }).await;
            let pool = &pool;
            run(service_fn(|event| checked(pool, event))).await
        }
        other => Err(format!(
            "there is no handler {other:?}: choose leave, close, once or checked"
        )
        .into()),
    }
}

/// Opened in the handler, and nobody closes it. In Rust that is no leak: what owns the connection drops it here, and
/// the socket closes, though without a word to the server, which counts the client as aborted.
async fn leave(options: &MySqlConnectOptions, event: LambdaEvent<Order>) -> Result<Answer, Error> {
    let mut connection = options.connect().await?;
    Ok(serve(&mut connection, event.payload).await?)
}

/// Costs a handshake for every event, and leaves nothing behind.
async fn close(options: &MySqlConnectOptions, event: LambdaEvent<Order>) -> Result<Answer, Error> {
    let mut connection = options.connect().await?;
    let answer = serve(&mut connection, event.payload).await;
    connection.close().await?;
    Ok(answer?)
}

/// Opened once, outside of the handler, and used as it is.
async fn once(pool: &MySqlPool, event: LambdaEvent<Order>) -> Result<Answer, Error> {
    let mut connection = pool.acquire().await?;
    Ok(serve(&mut connection, event.payload).await?)
}

/// Opened once, checked before use, and not kept for ever.
async fn checked(pool: &MySqlPool, event: LambdaEvent<Order>) -> Result<Answer, Error> {
    let mut connection = acquire(pool).await?;
    Ok(serve(&mut connection, event.payload).await?)
}

/// A ping that nobody answered has cost us that connection, so the second try dials.
async fn acquire(pool: &MySqlPool) -> Result<PoolConnection<MySql>, sqlx::Error> {
    match pool.acquire().await {
        Err(sqlx::Error::PoolTimedOut) => pool.acquire().await,
        acquired => acquired,
    }
}

fn options() -> Result<MySqlConnectOptions, Error> {
    Ok(MySqlConnectOptions::new()
        .host(&env::var("DB_HOST")?)
        .port(env::var("DB_PORT")?.parse()?)
        .username(&env::var("DB_USER")?)
        .password(&env::var("DB_PASSWORD")?)
        .database(&env::var("DB_NAME")?))
}
