use super::super::Store;
use super::super::testing::Server;
use super::*;
use crate::job::QueueName;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&QueueName::new("q").unwrap())
}

/// A parent with a child in each place, one of them in another queue with a child of its own.
async fn family(server: &Server) {
    for command in [
        "HSET bull:q:p name p",
        "ZADD bull:q:waiting-children 1 p",
        "HSET bull:q:p:processed bull:q:c1 {\"a\":1}",
        "HSET bull:q:p:failed bull:q:c2 reason",
        "ZADD bull:q:p:unsuccessful 1 bull:q:c3",
        "SADD bull:q:p:dependencies bull:other:c4 bull:q:gone",
        "HSET bull:q:c1 name c1",
        "HSET bull:q:c2 name c2",
        "HSET bull:q:c3 name c3",
        "ZADD bull:q:completed 1 c1",
        "HSET bull:other:c4 name c4",
        "SADD bull:other:c4:dependencies bull:q:g bull:q:p",
        "HSET bull:q:g name g",
        "RPUSH bull:q:wait g",
    ] {
        server.run(command).await;
    }
}

#[tokio::test]
async fn children_are_told_by_what_became_of_them() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    family(&server).await;
    let children = queue.dependencies(&JobId::stored("p")).await.unwrap();
    assert_eq!(children.processed, BTreeMap::from([("bull:q:c1".to_owned(), "{\"a\":1}".to_owned())]));
    assert_eq!(children.ignored, BTreeMap::from([("bull:q:c2".to_owned(), "reason".to_owned())]));
    assert_eq!(children.failed, ["bull:q:c3"]);
    assert_eq!(children.unprocessed, ["bull:other:c4", "bull:q:gone"]);
    assert_eq!(queue.dependencies(&JobId::stored("c1")).await.unwrap(), Dependencies::default());
}

#[tokio::test]
async fn thousands_of_children_are_read_in_steps() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let fill = "for n = 1, 5000 do redis.call('SADD', 'bull:q:p:dependencies', 'bull:q:w' .. n) \
                redis.call('HSET', 'bull:q:p:processed', 'bull:q:c' .. n, n) end redis.call('HSET', 'bull:q:p', 'name', 'p')";
    queue.store.command().call("EVAL", vec![fill.into(), "0".into()]).await.unwrap();
    let children = queue.dependencies(&JobId::stored("p")).await.unwrap();
    assert_eq!((children.unprocessed.len(), children.processed.len()), (5000, 5000));
    let tree = queue.tree(&JobId::stored("p"), 3).await.unwrap().unwrap();
    assert_eq!((tree.children.len(), tree.more), (0, 10_000), "none of them has a job");
}

fn shape(tree: &JobTree) -> String {
    let children: Vec<_> = tree.children.iter().map(shape).collect();
    let more = if tree.more > 0 { format!("+{}", tree.more) } else { String::new() };
    format!("{}:{}{more}[{}]", tree.job.id, tree.job.state, children.join(" "))
}

#[tokio::test]
async fn a_tree_spans_queues_and_ends_where_it_would_go_round() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    family(&server).await;
    let tree = async |depth| queue.tree(&JobId::stored("p"), depth).await.unwrap().map(|tree| shape(&tree)).unwrap();
    assert_eq!(tree(0).await, "p:waiting-children+5[]");
    let level = "c1:completed[] c2:unknown[] c3:unknown[]";
    assert_eq!(tree(1).await, format!("p:waiting-children+1[c4:unknown+2[] {level}]"));
    assert_eq!(tree(9).await, format!("p:waiting-children+1[c4:unknown+1[g:waiting[]] {level}]"));
    assert_eq!(queue.tree(&JobId::stored("nobody"), 1).await.unwrap(), None);
}
