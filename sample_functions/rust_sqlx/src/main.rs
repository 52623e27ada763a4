//! An order service with sqlx.
//!
//! The name of the handler chooses how it holds its connection: leave, close, once or checked.

mod orders;

use std::{env, sync::Arc, time::Duration};

use lambda_runtime::{run, service_fn, spawn_graceful_shutdown_handler, Error, LambdaEvent};
use sqlx::{
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    ConnectOptions, Connection, MySqlConnection, MySqlPool,
};
use tokio::{sync::Mutex, time::timeout};

use orders::{serve, Answer, Order};

// An environment serves one event at a time, so one thread is enough.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = &options()?;
    match env::var("_HANDLER")?.as_str() {
        "leave" => run(service_fn(|event| leave(options, event))).await,
        "close" => run(service_fn(|event| close(options, event))).await,
        "once" => {
            // It dials when it has to.
            let pool = &MySqlPoolOptions::new().connect_lazy_with(options.clone());
            run(service_fn(|event| once(pool, event))).await
        }
        "checked" => {
            let kept = &Kept::default();
            let at_the_end = kept.clone();
            spawn_graceful_shutdown_handler(|| async move {
                if let Some(connection) = at_the_end.lock().await.take() {
                    let _ = connection.close().await;
                }
            })
            .await;
            run(service_fn(|event| checked(options, kept, event))).await
        }
        other => Err(format!("there is no handler {other:?}: choose leave, close, once or checked").into()),
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

/// Opened once, outside of the handler, and used as it is: a pool with its defaults. It pings a connection before it
/// lends it; and when it has it back, which is after the answer. Where the freeze comes in the middle of that and the
/// connection does not survive it, the pool has one place less for ever (sqlx issue 4349): ten times, and all are gone.
async fn once(pool: &MySqlPool, event: LambdaEvent<Order>) -> Result<Answer, Error> {
    let mut connection = pool.acquire().await?;
    Ok(serve(&mut connection, event.payload).await?)
}

/// A connection of our own: one is enough, and nothing happens to it while we are not looking.
type Kept = Arc<Mutex<Option<MySqlConnection>>>;

/// Opened once and checked before use.
async fn checked(options: &MySqlConnectOptions, kept: &Kept, event: LambdaEvent<Order>) -> Result<Answer, Error> {
    let mut kept = kept.lock().await;
    let mut connection = match if_it_answers(kept.take()).await {
        Some(connection) => connection,
        None => options.connect().await?,
    };
    // After an error it is not put back, and the next event dials.
    let answer = serve(&mut connection, event.payload).await?;
    *kept = Some(connection);
    Ok(answer)
}

/// The ping has a limit of its own: where the path has forgotten the connection, no answer ever comes.
async fn if_it_answers(connection: Option<MySqlConnection>) -> Option<MySqlConnection> {
    let mut connection = connection?;
    match timeout(Duration::from_secs(1), connection.ping()).await {
        Ok(Ok(())) => Some(connection),
        _ => None,
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
