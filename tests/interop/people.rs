//! Log-ins, limits and presence, as functions in Node, Python and PHP use them through the helpers.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

const NODE: &str = r"
module.exports = async (job) => {
  const { sessions, limiter, presence } = job.app;
  const { id } = await sessions.create('node', { a: [1] }, { ttl: 60000, maxAge: '2m', limit: 2, atLimit: 'refuse' });
  const other = await sessions.create('node', null, { ttl: '1m' });
  const third = await sessions.create('node', null, { limit: 2, atLimit: 'refuse' });
  await sessions.update(id, { b: 2 });
  const seen = [(await sessions.read(id)).data, (await sessions.touch(id)).user, third];
  const devices = [(await sessions.list('node')).length, await sessions.count('node')];
  const ended = [await sessions.revokeDevice('node', other.device), await sessions.revokeAll('node', id)];
  ended.push(await sessions.revoke(id), await sessions.revoke(id), await sessions.touch(id));
  const limits = [];
  for (let n = 0; n < 3; n += 1) limits.push((await limiter.check('node', 'post', 2, '1m')).allowed);
  limits.push((await limiter.peek('node', 'post', 2, 60000)).remaining);
  limits.push((await limiter.check('node', 'post', 1, '1m', { kind: 'bucket', burst: 5, cost: 5 })).remaining);
  await limiter.reset('node', 'post', 2, 60000);
  const came = await presence.beat('node', 'ann', 'tab1', '1m', { x: 1 });
  await presence.beat('node', 'ann', 'tab2', 60000);
  const { count, members } = await presence.list('node');
  const there = [came.changed, count, members[0].connections, members[0].data, await presence.online('node', ['ann', 'bob'])];
  there.push((await presence.leave('node', 'ann', 'tab1')).changed, await presence.count('node'));
  there.push((await presence.leave('node', 'ann')).changed);
  return { seen, devices, ended, limits, there };
};
";

const PYTHON: &str = r#"
def work(job):
    sessions, limiter, presence = job.app.sessions, job.app.limiter, job.app.presence
    id = sessions.create("python", {"a": [1]}, ttl=60, max_age=120, limit=2, at_limit="refuse")["id"]
    other = sessions.create("python", ttl=60)
    third = sessions.create("python", limit=2, at_limit="refuse")
    sessions.update(id, {"b": 2})
    seen = [sessions.read(id)["data"], sessions.touch(id)["user"], third]
    devices = [len(sessions.list("python")), sessions.count("python")]
    ended = [sessions.revoke_device("python", other["device"]), sessions.revoke_all("python", id)]
    ended += [sessions.revoke(id), sessions.revoke(id), sessions.touch(id)]
    limits = [limiter.check("python", "post", 2, 60)["allowed"] for _ in range(3)]
    limits.append(limiter.peek("python", "post", 2, 60)["remaining"])
    limits.append(limiter.check("python", "post", 1, 60, kind="bucket", burst=5, cost=5)["remaining"])
    limiter.reset("python", "post", 2, 60)
    came = presence.beat("python", "ann", "tab1", 60, {"x": 1})
    presence.beat("python", "ann", "tab2", 60)
    room = presence.list("python")
    one = room["members"][0]
    there = [came["changed"], room["count"], one["connections"], one["data"], presence.online("python", ["ann", "bob"])]
    there += [presence.leave("python", "ann", "tab1")["changed"], presence.count("python")]
    there.append(presence.leave("python", "ann")["changed"])
    return dict(seen=seen, devices=devices, ended=ended, limits=limits, there=there)

async def work_async(job):
    sessions, limiter, presence = job.app.sessions, job.app.limiter, job.app.presence
    id = (await sessions.create("async", {"a": [1]}, ttl=60, max_age=120, limit=2, at_limit="refuse"))["id"]
    other = await sessions.create("async", ttl=60)
    third = await sessions.create("async", limit=2, at_limit="refuse")
    await sessions.update(id, {"b": 2})
    seen = [(await sessions.read(id))["data"], (await sessions.touch(id))["user"], third]
    devices = [len(await sessions.list("async")), await sessions.count("async")]
    ended = [await sessions.revoke_device("async", other["device"]), await sessions.revoke_all("async", id)]
    ended += [await sessions.revoke(id), await sessions.revoke(id), await sessions.touch(id)]
    limits = [(await limiter.check("async", "post", 2, 60))["allowed"] for _ in range(3)]
    limits.append((await limiter.peek("async", "post", 2, 60))["remaining"])
    limits.append((await limiter.check("async", "post", 1, 60, kind="bucket", burst=5, cost=5))["remaining"])
    await limiter.reset("async", "post", 2, 60)
    came = await presence.beat("async", "ann", "tab1", 60, {"x": 1})
    await presence.beat("async", "ann", "tab2", 60)
    room = await presence.list("async")
    one = room["members"][0]
    there = [came["changed"], room["count"], one["connections"], one["data"], await presence.online("async", ["ann", "bob"])]
    there += [(await presence.leave("async", "ann", "tab1"))["changed"], await presence.count("async")]
    there.append((await presence.leave("async", "ann"))["changed"])
    return dict(seen=seen, devices=devices, ended=ended, limits=limits, there=there)
"#;

const PHP: &str = r"<?php
return function (array $job, Oxherd $ctx): mixed {
    $sessions = $ctx->app->sessions;
    $id = $sessions->create('php', ['a' => [1]], 60, 120, 2, 'refuse')['id'];
    $other = $sessions->create('php', ttl: 60);
    $third = $sessions->create('php', limit: 2, atLimit: 'refuse');
    $sessions->update($id, ['b' => 2]);
    $seen = [$sessions->read($id)['data'], $sessions->touch($id)['user'], $third];
    $devices = [count($sessions->list('php')), $sessions->count('php')];
    $ended = [$sessions->revokeDevice('php', $other['device']), $sessions->revokeAll('php', $id)];
    array_push($ended, $sessions->revoke($id), $sessions->revoke($id), $sessions->touch($id));
    $limiter = $ctx->app->limiter;
    $limits = array_map(fn () => $limiter->check('php', 'post', 2, 60)['allowed'], [1, 2, 3]);
    $limits[] = $limiter->peek('php', 'post', 2, 60)['remaining'];
    $limits[] = $limiter->check('php', 'post', 1, 60, ['kind' => 'bucket', 'burst' => 5, 'cost' => 5])['remaining'];
    $limiter->reset('php', 'post', 2, 60);
    $presence = $ctx->app->presence;
    $came = $presence->beat('php', 'ann', 'tab1', 60, ['x' => 1]);
    $presence->beat('php', 'ann', 'tab2', 60);
    $room = $presence->list('php');
    $one = $room['members'][0];
    $there = [$came['changed'], $room['count'], $one['connections'], $one['data'], $presence->online('php', ['ann', 'bob'])];
    array_push($there, $presence->leave('php', 'ann', 'tab1')['changed'], $presence->count('php'));
    $there[] = $presence->leave('php', 'ann')['changed'];
    return compact('seen', 'devices', 'ended', 'limits', 'there');
};
";

/// `[queues.NAME]` and the pool that works it.
fn queue(name: &str, argv: &[&str]) -> String {
    let app = r#"["session", "limit", "presence"]"#;
    format!("[queues.{name}]\nhandler = \"{name}\"\n[handlers.{name}.process]\nargv = {}\napp = {app}\n", json!(argv))
}

#[test]
fn functions_in_three_languages_know_who_is_logged_in_and_who_is_there() {
    let redis = Redis::start();
    let work = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        std::fs::write(work.path().join(name), content).unwrap();
        work.path().join(name).to_str().unwrap().to_owned()
    };
    let helpers = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers");
    let helper = |name: &str| helpers.join(name).to_str().unwrap().to_owned();
    let (node, python, php) = (file("work.cjs", NODE), file("work.py", PYTHON), file("work.php", PHP));
    let queues = [
        queue("node", &["node", &helper("oxherd.mjs"), &node]),
        queue("python", &["python3", &helper("oxherd.py"), &format!("{python}:work")]),
        queue("async", &["python3", &helper("oxherd.py"), &format!("{python}:work_async")]),
        queue("php", &["php", &helper("oxherd.php"), &php]),
    ];
    let mut daemon = Daemon::start(&redis, &format!("[defaults]\nattempts = 1\n{}", queues.concat()));
    let names = ["node", "python", "async", "php"];
    for name in names {
        let added = Command::new(env!("CARGO_BIN_EXE_oxherd"))
            .args(["job", "add", name, "work", "{}", "--job-id", "one", "--redis", &redis.url()])
            .stdout(Stdio::null())
            .status();
        assert!(added.unwrap().success());
    }
    let count = |name: &str, state: &str| redis.number(&["ZCARD", &format!("bull:{name}:{state}")]);
    eventually("all is done", || names.iter().all(|name| count(name, "completed") + count(name, "failed") == 1));
    for name in names {
        let job = format!("bull:{name}:one");
        let value = redis.call(&["HGET", &job, "returnvalue"]);
        let said: Value = serde_json::from_str(&value)
            .unwrap_or_else(|_| panic!("{name}: {value} {}", redis.call(&["HGET", &job, "failedReason"])));
        let expected = json!({
            "seen": [{"b": 2}, name, null],
            "devices": [2, 2],
            "ended": [true, 0, true, false, null],
            "limits": [true, true, false, 0, 0],
            "there": [true, 1, 2, {"x": 1}, [true, false], false, 1, true],
        });
        assert_eq!(said, expected, "{name}");
    }
    let left = redis.list(&["KEYS", "app:*"]);
    assert!(left.iter().all(|key| key.ends_with(":b60000")) && left.len() == 4, "{left:?}");
    assert_eq!(daemon.stop(), Some(0));
}
