//! Trees of jobs, children and windows of deduplication from the command line.

use serde_json::json;

use crate::harness::{Oxherd, Redis, text};

const TREE: &str = r#"{
  "name": "book", "queueName": "bind", "opts": {"jobId": "b"},
  "children": [
    {"name": "page", "queue": "render", "data": {"n": 1.50}, "opts": {"jobId": "p1", "ignoreDependencyOnFailure": true}},
    {"name": "cover", "opts": {"priority": 2}}
  ]
}"#;

#[test]
fn a_tree_is_added_from_a_file_or_standard_input() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let path = oxherd.file("tree.json", TREE);
    let added = oxherd.run(&["job", "add", "covers", "--flow", text(&path), "--json"]).exits(0).json();
    let cover = added["children"][1]["id"].as_str().unwrap().to_owned();
    let expected = json!({"id": "b", "queue": "bind", "children": [
        {"id": "p1", "queue": "render", "children": []},
        {"id": cover, "queue": "covers", "children": []},
    ]});
    assert_eq!(added, expected);
    assert_eq!(redis.call(&["ZRANGE", "bull:bind:waiting-children", "0", "-1"]), "b");
    assert_eq!(redis.call(&["SCARD", "bull:bind:b:dependencies"]), "2");
    assert_eq!(redis.call(&["HGET", "bull:render:p1", "data"]), r#"{"n": 1.50}"#);
    assert!(redis.call(&["HGET", "bull:render:p1", "parent"]).contains(r#""idof":true"#));

    let lone = r#"{"name":"n","opts":{"jobId":"lone"},"data":null}"#;
    let ended = oxherd.run_with_input(&["job", "add", "q", "--flow", "-", "--parent", "bind:b"], lone).exits(0);
    assert_eq!(ended.stdout, "lone\n");
    assert_eq!(redis.call(&["SISMEMBER", "bull:bind:b:dependencies", "bull:q:lone"]), "1");
}

#[test]
fn a_tree_that_cannot_be_used_names_the_place_and_adds_nothing() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    for (tree, expected) in [
        (TREE.replace("\"cover\", \"opts\"", "\"cover\" \"opts\""), "tree.json:5:22: expected `,` or `}`"),
        (TREE.replace("\"name\": \"page\"", "\"nam\": \"page\""), "tree.json:4:10: unknown field `nam`"),
        ("3".into(), "tree.json:1:1: invalid type: integer `3`, expected a flow: an object of name, queueName,"),
        (TREE.to_owned(), "tree.json: children[1]: expected a queueName, got none"),
        (TREE.replace("\"render\"", "\"a:b\""), "tree.json: children[0]: queue name \"a:b\" holds a ':'"),
        (TREE.replace("\"priority\": 2", "\"priority\": -2"), "tree.json: children[1]: expected opts.priority to be"),
    ] {
        let path = oxherd.file("tree.json", &tree);
        let queue = if tree == TREE { &[][..] } else { &["q"] };
        let ended = oxherd
            .run(&[&["job", "add"][..], queue, &["--flow", path.file_name().unwrap().to_str().unwrap()]].concat());
        let ended = ended.exits(65);
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    let same = TREE.replace(r#""opts": {"priority": 2}"#, r#""queue": "render", "opts": {"jobId": "p1"}"#);
    let ended = oxherd.run_with_input(&["job", "add", "--flow", "-"], &same).exits(65);
    let expected =
        "standard input: children[1]: expected another id than that of children[0] in the same queue, got p1";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    oxherd.run(&["job", "add", "--flow", "missing.json"]).exits(65);
    assert_eq!(redis.call(&["DBSIZE"]), "0");

    oxherd.run_with_input(&["job", "add", "q", "--flow", "-"], TREE).exits(0);
    let other = TREE.replace("\"b\"", "\"c\"");
    let ended = oxherd.run_with_input(&["job", "add", "q", "--flow", "-"], &other).exits(1);
    assert!(ended.stderr.contains("cannot add job p1: it is the child of another parent"), "{}", ended.stderr);
}

#[test]
fn windows_and_parents_are_named_on_the_command_line_or_in_lines() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let add = |more: &[&str]| oxherd.run(&[&["job", "add", "q", "n"][..], more].concat());
    assert_eq!(add(&["--deduplicate", "d:10m"]).exits(0).stdout, "1\n");
    assert_eq!(add(&["--deduplicate", "d"]).exits(0).stdout, "1\n");
    let left: u32 = redis.call(&["PTTL", "bull:q:de:d"]).parse().unwrap();
    assert!((500_000..=600_000).contains(&left), "{left}");
    add(&["--parent", "q:1"]).exits(0);
    assert_eq!(redis.call(&["HGET", "bull:q:3", "parentKey"]), "bull:q:1");
    let ended = add(&["--parent", "q:gone"]).exits(1);
    assert!(ended.stderr.contains("cannot add job n: its parent does not exist"), "{}", ended.stderr);

    let lines = "{\"opts\":{\"deduplication\":{\"id\":\"d\"}}}\n\
                 {\"opts\":{\"parent\":{\"id\":\"1\",\"queue\":\"bull:q\"}}}\n\
                 {\"opts\":{\"parent\":{\"id\":\"gone\",\"queue\":\"bull:q\"}}}\n\
                 {\"opts\":{\"parent\":{\"id\":\"lost\",\"queue\":\"bull:q\"}}}\n\
                 {\"opts\":{\"lifo\":true}}\n";
    let ended = oxherd.run_with_input(&["job", "add", "q", "line", "--from", "-", "--ids"], lines).exits(1);
    assert_eq!(ended.stdout, "1\n5\n6\n");
    let expected = "cannot add job line: its parent does not exist; 1 more jobs were refused";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let ended = oxherd.run_with_input(&["job", "add", "q", "m", "--from", "-", "--parent", "q:1"], "{}\n{}\n").exits(0);
    assert_eq!(
        (ended.stdout.as_str(), redis.call(&["SCARD", "bull:q:1:dependencies"]).as_str()),
        ("added 2 jobs to q\n", "4")
    );
}
