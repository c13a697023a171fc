//! What an application keeps beside the queues.

use std::time::Duration;

use bytes::Bytes;

use super::Cost::Flat;
use super::*;
use crate::store::{AppStore, Stored};

const LIFE: Duration = Duration::from_secs(600);

pub(super) async fn all(long: &Long) {
    let app = AppStore::new(&long.store, "app");
    let tags = ["all".to_owned()];
    let many = |from: usize, count: usize| -> Vec<Stored> {
        let stored = |n| Stored { name: format!("user:profile:id={n}"), value: Bytes::from_static(b"1"), life: LIFE };
        (from..from + count).map(stored).collect()
    };
    app.put_cached(many(0, 50_000), &tags).await.unwrap();
    long.quick("cache: store 500 values with a tag", Flat, async |_| {
        app.put_cached(many(50_000, 500), &tags).await.unwrap();
    })
    .await;
    long.quick("cache: begin a value with a tag", Flat, async |number| {
        let name = format!("user:begun:n={number}");
        app.begin_fill(&name, "token", LIFE, LIFE, &tags).await.unwrap();
        app.leave(&name, "token").await.unwrap();
    })
    .await;
    long.quick("cache: delete 500 values", Flat, async |_| {
        let names: Vec<_> = many(0, 500).into_iter().map(|stored| stored.name).collect();
        app.drop_cached(&names).await.unwrap();
    })
    .await;
    long.quick("cache: delete by pattern", Flat, async |_| {
        a_while(app.drop_matching("user:profile:id=1*", |_| true)).await;
    })
    .await;
    long.quick("cache: delete a tag of 50,000 values", Flat, async |_| {
        app.drop_tag("all").await.unwrap();
    })
    .await;
}
