//! Keeps as many processes as the pool needs; ends when the pool is closed and the last one has gone.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::pool::Pool;
use super::worker::live;

/// Dropping the future kills all processes.
pub(super) async fn keep(pool: Arc<Pool>) {
    let mut lives = JoinSet::new();
    loop {
        let plan = pool.plan();
        for id in plan.start {
            lives.spawn(live(Arc::clone(&pool), id));
        }
        if plan.is_closed {
            break;
        }
        let next = async {
            match plan.next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pool.keeper.notified() => {}
            () = next => {}
            Some(_) = lives.join_next() => {}
        }
    }
    while lives.join_next().await.is_some() {}
    pool.end();
}
