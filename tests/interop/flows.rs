//! Trees of jobs whose parents are worked by one side and whose children by the other.

use serde_json::{Value, json};

use super::oxherd::Oxherd;
use super::support::eventually;
use super::support::program::{Program, node};
use super::support::redis::Redis;

const FLAGS: [(&str, &str); 5] = [
    ("fpof", "failParentOnFailure"),
    ("cpof", "continueParentOnFailure"),
    ("idof", "ignoreDependencyOnFailure"),
    ("rdof", "removeDependencyOnFailure"),
    ("none", ""),
];

/// A parent with one child that does well and, behind it, one that fails its first attempt, its only one.
fn tree(name: &str, flag: &str) -> Value {
    let mut bad = json!({"jobId": format!("bad-{name}")});
    if !flag.is_empty() {
        bad[flag] = true.into();
    }
    let child = |n: u64, failures: u64, opts: Value| json!({"name": "child", "queueName": "children", "data": {"n": n, "failures": failures}, "opts": opts});
    json!({
        "name": "parent", "queueName": "parents", "data": {"reads": true}, "opts": {"jobId": name},
        "children": [child(1, 0, json!({"jobId": format!("good-{name}")})), child(2, 1, bad)],
    })
}

fn add(control: &mut Program, tree: &Value) {
    control.press(&["add-flow", &tree.to_string()]);
}

fn state(redis: &Redis, id: &str) -> &'static str {
    let scored = |state: &'static str| !redis.call(&["ZSCORE", &format!("bull:parents:{state}"), id]).is_empty();
    ["completed", "failed", "waiting-children"].into_iter().find(|state| scored(state)).unwrap_or("elsewhere")
}

fn field(redis: &Redis, id: &str, field: &str) -> String {
    redis.call(&["HGET", &format!("bull:parents:{id}"), field])
}

/// What the children left with their parent, by the reader of a BullMQ client.
fn left_by_children(version: u8, redis: &Redis, ids: &[&str]) -> Vec<Value> {
    let read = node("inspect.mjs", version, redis, &[&["--queue", "parents", "children"], ids].concat()).end();
    read[0].as_array().unwrap().clone()
}

#[derive(PartialEq)]
enum Parents {
    Node,
    Oxherd,
}

/// Each failure flag, with the tree, the parent's or the children's worker and all reading by this BullMQ release.
fn failing_children(version: u8, parents: &Parents) {
    let redis = Redis::start();
    let mut control = node("control.mjs", version, &redis, &["serve", "--queue", "children"]).ready();
    for (name, flag) in FLAGS {
        add(&mut control, &tree(name, flag));
    }
    let (theirs, ours) = if *parents == Parents::Node { ("parents", "children") } else { ("children", "parents") };
    let _oxherd = Oxherd::start(&redis, &[ours], "concurrency = 1");
    let worker = node("worker.mjs", version, &redis, &["--queues", theirs]).ready();

    for (name, end) in [("fpof", "failed"), ("cpof", "completed"), ("idof", "completed"), ("rdof", "completed")] {
        eventually(&format!("the parent {name} is {end}"), || state(&redis, name) == end);
    }
    assert_eq!(field(&redis, "fpof", "failedReason"), "child bull:children:bad-fpof failed");
    eventually("the last child failed", || redis.number(&["ZCARD", "bull:children:failed"]) == 5);
    assert_eq!(state(&redis, "none"), "waiting-children");

    // a child that failed without a flag blocks its parent until it is retried and does well
    control.press(&["retry", "bad-none"]);
    eventually("the parent none is completed", || state(&redis, "none") == "completed");

    let left = left_by_children(version, &redis, &["fpof", "cpof", "idof", "rdof", "none"]);
    let [fpof, cpof, idof, rdof, none] = &left[..] else { panic!("{left:?}") };
    let value = |n: u64| json!({"by": "node", "n": n});
    for (name, children) in [("fpof", fpof), ("cpof", cpof), ("idof", idof), ("rdof", rdof)] {
        assert_eq!(children["processed"], json!({format!("bull:children:good-{name}"): value(1)}), "{name}");
        assert!(children["unprocessed"].as_array().is_none_or(Vec::is_empty), "{name}: {children}");
    }
    for (name, children) in [("cpof", cpof), ("idof", idof)] {
        let reason = children["ignored"][format!("bull:children:bad-{name}")].as_str().unwrap();
        assert!(reason.contains("told to fail attempt 1"), "{reason}");
    }
    assert_eq!(fpof["failed"], json!(["bull:children:bad-fpof"]));
    assert!(rdof["ignored"].as_object().is_none_or(serde_json::Map::is_empty), "{rdof}");
    assert_eq!(none["processed"].as_object().unwrap().len(), 2, "{none}");

    // and a parent is told all that while it runs, on either side
    let returned = |id: &str| serde_json::from_str::<Value>(&field(&redis, id, "returnvalue")).unwrap();
    for name in ["cpof", "idof"] {
        let value_of_parent = returned(name);
        assert_eq!(value_of_parent["children"], json!([value(1)]));
        assert!(value_of_parent["ignored"][0].as_str().unwrap().contains("told to fail attempt 1"));
    }
    assert_eq!((&returned("rdof")["children"], &returned("rdof")["ignored"]), (&json!([value(1)]), &json!([])));
    assert_eq!(returned("none")["children"].as_array().unwrap().len(), 2);
    worker.stop();
}

#[test]
fn parents_in_node_6_with_children_that_fail_in_oxherd() {
    failing_children(6, &Parents::Node);
}

#[test]
fn parents_in_node_5_with_children_that_fail_in_oxherd() {
    failing_children(5, &Parents::Node);
}

#[test]
fn parents_in_oxherd_with_children_that_fail_in_node_6() {
    failing_children(6, &Parents::Oxherd);
}

#[test]
fn parents_in_oxherd_with_children_that_fail_in_node_5() {
    failing_children(5, &Parents::Oxherd);
}

#[test]
fn children_a_running_node_job_adds_are_worked_by_oxherd() {
    for version in [5, 6] {
        let redis = Redis::start();
        let worker = node("worker.mjs", version, &redis, &["--queues", "parents"]).ready();
        let grandchild = json!({"name": "grandchild", "queueName": "grandchildren", "data": {"n": 2}});
        let offspring = json!([
            {"name": "child", "queueName": "children", "data": {"n": 1}},
            {"name": "child", "queueName": "children", "data": {"n": 3}, "children": [grandchild]},
        ]);
        let data = json!({"n": 7, "offspring": offspring, "reads": true}).to_string();
        node("control.mjs", version, &redis, &["add", "parent", &data, "--queue", "parents"]).end();
        eventually("the parent waits", || state(&redis, "1") == "waiting-children");
        let _oxherd = Oxherd::start(&redis, &["children", "grandchildren"], "concurrency = 2");
        eventually("the parent is completed", || state(&redis, "1") == "completed");
        assert_eq!(field(&redis, "1", "ats"), "2", "started once more when its children were done");
        let value: Value = serde_json::from_str(&field(&redis, "1", "returnvalue")).unwrap();
        let mut numbers: Vec<_> =
            value["children"].as_array().unwrap().iter().map(|child| child["n"].as_u64()).collect();
        numbers.sort();
        assert_eq!(numbers, [Some(1), Some(3)]);
        worker.stop();
    }
}

/// Trees of three storeys over queues that both sides work: each parent starts once, after all its children.
#[test]
fn many_trees_are_worked_by_both_sides_from_the_leaves_up() {
    let redis = Redis::start();
    let queues = ["parents", "branches", "leaves"];
    let oxherd = Oxherd::start(&redis, &queues, "concurrency = 4");
    let workers = [6, 5].map(|version| {
        node("worker.mjs", version, &redis, &["--queues", &queues.join(","), "--concurrency", "4"]).ready()
    });
    let mut control = node("control.mjs", 6, &redis, &["serve"]).ready();
    for tree in 0..20 {
        let leaf = |n: u64| json!({"name": "leaf", "queueName": "leaves", "data": {"n": n, "work": 3}});
        let branch = |n: u64| {
            let leaves: Vec<Value> = (0..4).map(|leaf_n| leaf(n * 10 + leaf_n)).collect();
            json!({"name": "branch", "queueName": "branches", "data": {"n": n}, "children": leaves})
        };
        let branches: Vec<Value> = (0..3).map(branch).collect();
        add(
            &mut control,
            &json!({"name": "root", "queueName": "parents", "opts": {"jobId": format!("tree-{tree}")}, "data": {}, "children": branches}),
        );
    }
    eventually("all roots are completed", || redis.number(&["ZCARD", "bull:parents:completed"]) == 20);
    let theirs: usize =
        workers.map(|worker| worker.stop().iter().filter(|line| line["event"] == "processed").count()).iter().sum();
    let ours = oxherd.receiver.count();
    assert_eq!(ours + theirs, 20 * (1 + 3 + 12), "each job once: {ours} by oxherd, {theirs} by Node");
    assert!(ours > 15 && theirs > 15, "not shared: {ours} by oxherd, {theirs} by Node");
    for queue in ["branches", "leaves"] {
        assert_eq!(redis.number(&["ZCARD", &format!("bull:{queue}:waiting-children")]), 0);
    }
}
