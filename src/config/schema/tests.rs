mod agreement;

use super::*;

#[test]
fn the_nearest_name_is_found_and_far_ones_are_not() {
    let known = || ROOT.child("defaults").unwrap().names().unwrap();
    for (written, meant) in [
        ("concurency", Some("concurrency")),
        ("Concurrency", Some("concurrency")),
        ("keepCompleted", Some("keep_completed")),
        ("keep-failed", Some("keep_failed")),
        ("timeuot", Some("timeout")),
        ("lok", Some("lock")),
        ("ratelimit", Some("rate_limit")),
        ("colour", None),
        ("", None),
    ] {
        assert_eq!(nearest(written, known()), meant, "{written}");
    }
    assert_eq!(nearest("queue", ROOT.names().unwrap()), Some("queues"));
}

#[test]
fn every_entry_is_a_sentence_that_is_shown_with_its_kind() {
    let mut keys = 0;
    visit(&ROOT, &mut Vec::new(), &mut |path, shape, key| {
        let Some(Key { about, .. }) = key else { return };
        keys += 1;
        let begins = about.starts_with(|c: char| c.is_uppercase() || !c.is_alphabetic());
        let begins = begins || ["false", "off", "true"].iter().any(|word| about.starts_with(word));
        let ends = about.ends_with('.') || about.ends_with('…');
        assert!(begins && ends && about.len() < 160, "{path:?}: {about}");
        assert!(!shape.kind().is_empty());
    });
    assert!(keys > 200, "only {keys} keys");
}

#[test]
fn kinds_say_what_may_be_written() {
    let kind = |path: &str| {
        let mut steps = path.split('.').peekable();
        let mut keys = ROOT.keys().unwrap();
        loop {
            let name = steps.next().unwrap();
            let key = keys.iter().find(|key| key.name == name).unwrap();
            if steps.peek().is_none() {
                return key.kind();
            }
            keys = key.shape.keys().unwrap();
        }
    };
    for (path, shown) in [
        ("include", "text, or a list of such"),
        ("redis.password", "secret"),
        ("redis.at_start", "\"wait\" or \"fail\"; default \"wait\""),
        ("defaults.concurrency", "whole number from 1 to 10000; default 5"),
        ("defaults.global_concurrency", "whole number from 1 to 4294967295, or false; default false"),
        (
            "defaults.keep_failed",
            "true or false, whole number from 0 to 4294967295, or table; default { count = 500, age = \"7d\" }",
        ),
        ("app.cache.jitter", "number from 0 to 1; default 0.1"),
        ("callbacks.listen", "address and port; required"),
        ("shutdown.drain", "duration; default \"25s\""),
    ] {
        assert_eq!(kind(path), shown, "{path}");
    }
}

/// Path, shape, and the key where it is not the operator who names it.
type Each<'a> = dyn FnMut(&[String], &'static Shape, Option<&'static Key>) + 'a;

/// Goes through every place a value can stand at; what the operator names gets a legal name.
fn visit(shape: &'static Shape, path: &mut Vec<String>, each: &mut Each) {
    let mut below = |name: &str, shape: &'static Shape, key: Option<&'static Key>| {
        path.push(name.to_owned());
        each(path, shape, key);
        visit(shape, path, each);
        path.pop();
    };
    match shape {
        Named(names, shape) => below(legal(names), shape, None),
        Either(shapes) => shapes.iter().for_each(|shape| visit(shape, path, each)),
        Table(keys) | One(keys) => keys.iter().for_each(|key| below(key.name, &key.shape, Some(key))),
        _ => {}
    }
}

/// A name that matches.
fn legal(names: &str) -> &'static str {
    match names {
        "^[0-9]{1,3}$" => "75",
        "^[1-5][0-9][0-9]$" => "404",
        _ => "x",
    }
}
