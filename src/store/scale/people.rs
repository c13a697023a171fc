//! Log-ins, limits and presence, of users and rooms that are very large.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::Cost::Flat;
use super::*;
use crate::store::AppStore;
use crate::store::app::rate_limit::{Asks, Check, Kept};
use crate::store::app::session::{Beginning, Place};

const HOUR: Duration = Duration::from_secs(3600);

/// The index of user `ann` with sessions ARGV[1] to ARGV[1] + 4999, and the rooms `hall`, whose members are there for an
/// hour, and `lobby`, whose members have gone.
const FILL: &str = "local index, hall, lobby, hours = {}, {}, {}, 1700000000000 + 3600000
    for n = ARGV[1], ARGV[1] + 4999 do
      local member = string.format('{Zm}:%d', n)
      redis.call('HSET', 'app:session:' .. member, 'user', 'ann', 'index', 'app:sessions:{Zm}:ann', 'created', 1, 'seen', 1,
        'idle', 3600000, 'until', 0, 'data', '{}')
      index[#index + 1], index[#index + 2] = hours, member
      local name = string.format('member%d', n)
      hall[#hall + 1], hall[#hall + 2] = hours, name
      lobby[#lobby + 1], lobby[#lobby + 2] = n, name
      for _, room in ipairs({'hall', 'lobby'}) do
        redis.call('HSET', 'app:presence:{' .. room .. '}:about', name, cmsgpack.pack({'{}', 'tab', hours})) end end
    for from = 1, 10000, 5000 do
      redis.call('ZADD', 'app:sessions:{Zm}:ann', unpack(index, from, from + 4999))
      redis.call('ZADD', 'app:presence:{hall}', unpack(hall, from, from + 4999))
      redis.call('ZADD', 'app:presence:{lobby}', unpack(lobby, from, from + 4999)) end return 1";

pub(super) async fn all(long: &Long) {
    for from in (1..=50_000 * long.scale).step_by(5000) {
        long.lua(FILL, &[&from.to_string()]).await;
    }
    let app = AppStore::new(&long.store, "app");
    let place = |number: u32| Place { part: "Zm".into(), digest: number.to_string() };
    let data = json("{}");
    for limit in [None, Some(500)] {
        long.quick(&format!("sessions: create, limit {limit:?}"), Flat, async |number| {
            let place = place(9_000_000 + number);
            let (user, ttl, max_age, data) = ("ann", HOUR, None, &data);
            app.create_session(Beginning { place: &place, user, ttl, max_age, data, limit, makes_room: true })
                .await
                .unwrap();
        })
        .await;
    }
    long.quick("sessions: touch", Flat, async |_| {
        app.touch_session(&place(9_000_000), true, Some(&data)).await.unwrap().unwrap();
    })
    .await;
    long.quick("sessions: list", Flat, async |_| drop(app.sessions("Zm", "ann").await.unwrap())).await;
    long.quick("sessions: revoke", Flat, async |number| {
        assert!(app.revoke_session(&place(40_000 + number), Some("ann")).await.unwrap().0);
    })
    .await;
    long.quick("sessions: revoke all", Flat, async |_| {
        app.revoke_sessions("Zm", "ann", Some(&place(9_000_000))).await.unwrap();
    })
    .await;
    for kept in [Kept::Window, Kept::Bucket(1_000_000)] {
        let check = Check { kept, max: 1_000_000, per: HOUR, cost: 1, asks: Asks::Take };
        long.quick(&format!("limits: 1000 checks, {kept:?}"), Flat, async |_| {
            try_join_all((0..1000).map(|_| app.check_limit("post", "ann", check))).await.unwrap();
        })
        .await;
    }
    for room in ["hall", "lobby"] {
        long.quick(&format!("presence: beat and leave, {room}"), Flat, async |_| {
            app.beat_in_room(room, "member7", "tab", HOUR, Some(&data)).await.unwrap();
            app.leave_room(room, "member7", None).await.unwrap();
        })
        .await;
        long.quick(&format!("presence: list 2000, {room}"), Flat, async |_| {
            app.present(room, 2000).await.unwrap();
        })
        .await;
    }
}
