//! What stands beside the queues, as functions in Node, Python and PHP use it through the helpers.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

const NODE: &str = r"
module.exports = async (job) => {
  const { cache } = job.app;
  const id = { lang: 'de', id: 7 };
  const shared = { entity: 'rate', operation: 'eur', ids: id };
  const rate = await cache.getOrSet(shared, async () => ({ by: 'node' }), { ttl: 60000, tags: ['rates'] });
  const own = { entity: 'own', operation: 'node' };
  const before = await cache.get(own);
  await cache.set(own, { a: [1] }, { ttl: '1m', tags: ['node'] });
  const [after, none] = await cache.getMany([own, { entity: 'own', operation: 'nothing' }]);
  const failed = await cache.getOrSet({ entity: 'own', operation: 'fails' }, () => { throw new Error('no'); }).catch((error) => error.message);
  const nothing = await cache.getOrSet({ entity: 'own', operation: 'node-null' }, async () => undefined);
  const gone = [await cache.deleteTag('node'), await cache.delete({ entity: 'own', operation: 'node-null' })];
  const refused = await job.app.call('cache.burn').catch((error) => error.message);
  return { rate, before: before ?? 'none', after, none: none ?? 'none', failed, nothing, gone, refused };
};
";

const PYTHON: &str = r#"
from oxherd import AppError, Key

def work(job):
    cache = job.app.cache
    shared = Key("rate", "eur", id=7, lang="de")
    rate = cache.get_or_set(shared, lambda: {"by": "python"}, ttl=60, tags=["rates"])
    own = Key("own", "python")
    before = cache.get(own, "none")
    cache.set(own, {"a": [1]}, ttl=60, tags=["python"])
    after, none = cache.get_many([own, Key("own", "nothing")], "none")
    def fails():
        raise ValueError("no")
    try:
        failed = cache.get_or_set(Key("own", "fails"), fails)
    except ValueError as error:
        failed = str(error)
    nothing = cache.get_or_set(Key("own", "python-null"), lambda: None)
    gone = [cache.delete_tag("python"), cache.delete(Key("own", "python-null"))]
    try:
        refused = job.app.call("cache.burn")
    except AppError as error:
        refused = str(error)
    return dict(rate=rate, before=before, after=after, none=none, failed=failed, nothing=nothing, gone=gone, refused=refused)

async def work_async(job):
    cache = job.app.cache
    shared = Key("rate", "eur", id=7, lang="de")
    async def make():
        return {"by": "async"}
    rate = await cache.get_or_set(shared, make, ttl=60, tags=["rates"])
    own = Key("own", "async")
    before = await cache.get(own, "none")
    await cache.set(own, {"a": [1]}, ttl=60, tags=["async"])
    after, none = await cache.get_many([own, Key("own", "nothing")], "none")
    async def fails():
        raise ValueError("no")
    try:
        failed = await cache.get_or_set(Key("own", "fails"), fails)
    except ValueError as error:
        failed = str(error)
    nothing = await cache.get_or_set(Key("own", "async-null"), lambda: None)
    gone = [await cache.delete_tag("async"), await cache.delete(Key("own", "async-null"))]
    try:
        refused = await job.app.call("cache.burn")
    except AppError as error:
        refused = str(error)
    return dict(rate=rate, before=before, after=after, none=none, failed=failed, nothing=nothing, gone=gone, refused=refused)
"#;

const PHP: &str = r"<?php
return function (array $job, Oxherd $ctx): mixed {
    $cache = $ctx->app->cache;
    $shared = OxherdCache::key('rate', 'eur', ['id' => 7, 'lang' => 'de']);
    $rate = $cache->getOrSet($shared, fn () => ['by' => 'php'], 60, ['rates']);
    $own = OxherdCache::key('own', 'php');
    $before = $cache->get($own, 'none');
    $cache->set($own, ['a' => [1]], 60, ['php']);
    [$after, $none] = $cache->getMany([$own, OxherdCache::key('own', 'nothing')], 'none');
    try {
        $failed = $cache->getOrSet(OxherdCache::key('own', 'fails'), fn () => throw new Exception('no'));
    } catch (Exception $error) {
        $failed = $error->getMessage();
    }
    $nothing = $cache->getOrSet(OxherdCache::key('own', 'php-null'), fn () => null);
    $gone = [$cache->deleteTag('php'), $cache->delete(OxherdCache::key('own', 'php-null'))];
    try {
        $refused = $ctx->app->call('cache.burn');
    } catch (OxherdAppError $error) {
        $refused = $error->getMessage();
    }
    return compact('rate', 'before', 'after', 'none', 'failed', 'nothing', 'gone', 'refused');
};
";

/// `[queues.NAME]` and the pool that works it.
fn queue(name: &str, argv: &[&str], more: &str) -> String {
    format!("[queues.{name}]\nhandler = \"{name}\"\n[handlers.{name}.process]\nargv = {}\n{more}\n", json!(argv))
}

fn add(redis: &Redis, queue: &str) {
    let status = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .args(["job", "add", queue, "work", "{}", "--job-id", "one", "--redis", &redis.url()])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn functions_in_three_languages_share_a_cache() {
    let redis = Redis::start();
    let work = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        std::fs::write(work.path().join(name), content).unwrap();
        work.path().join(name).to_str().unwrap().to_owned()
    };
    let helpers = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers");
    let helper = |name: &str| helpers.join(name).to_str().unwrap().to_owned();
    let (node, python, php) = (file("work.cjs", NODE), file("work.py", PYTHON), file("work.php", PHP));
    let function = format!("{python}:work");
    let coroutine = format!("{python}:work_async");
    let allowed = "app = [\"cache\"]";
    let queues = [
        queue("node", &["node", &helper("oxherd.mjs"), &node], allowed),
        queue("python", &["python3", &helper("oxherd.py"), &function], allowed),
        queue("async", &["python3", &helper("oxherd.py"), &coroutine], allowed),
        queue("php", &["php", &helper("oxherd.php"), &php], allowed),
        queue("bare", &["node", &helper("oxherd.mjs"), &node], "app = [\"limit\"]"),
    ];
    let mut daemon = Daemon::start(&redis, &format!("[defaults]\nattempts = 1\n{}", queues.concat()));
    let names = ["node", "python", "async", "php"];
    for name in names.iter().chain(&["bare"]) {
        add(&redis, name);
    }
    let count = |name: &str, state: &str| redis.number(&["ZCARD", &format!("bull:{name}:{state}")]);
    eventually("all is done", || {
        names.iter().chain(&["bare"]).all(|name| count(name, "completed") + count(name, "failed") == 1)
    });
    let mut makers = Vec::new();
    for name in names {
        let job = format!("bull:{name}:one");
        let value = redis.call(&["HGET", &job, "returnvalue"]);
        let mut said: Value = serde_json::from_str(&value)
            .unwrap_or_else(|_| panic!("{name}: {value} {}", redis.call(&["HGET", &job, "failedReason"])));
        makers.push(said["rate"].take());
        let expected = json!({
            "rate": null, "before": "none", "after": {"a": [1]}, "none": "none", "failed": "no", "nothing": null,
            "gone": [1, 1], "refused": "there is no operation \"cache.burn\"",
        });
        assert_eq!(said, expected, "{name}");
    }
    makers.dedup();
    assert_eq!(makers.len(), 1, "made once, for all: {makers:?}");
    assert_eq!(redis.call(&["GET", "app:rate:eur:id=7:lang=de"]), makers[0].to_string());
    assert_eq!(redis.call(&["SMEMBERS", "app:tag:rates"]), "app:rate:eur:id=7:lang=de");
    let reason = redis.call(&["HGET", "bull:bare:one", "failedReason"]);
    assert_eq!(reason, "cache may not be used; write app = [\"cache\"] in the handler's table");
    assert_eq!(redis.list(&["KEYS", "oxherd:warm:*"]), Vec::<String>::new(), "no lock is left");
    assert_eq!(daemon.stop(), Some(0));
}
