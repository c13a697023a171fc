//! Hosts that job data chooses, by names that stand for what the test likes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::AllowedHost;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NEXT_DOOR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A handler whose jobs go to `host` of their data, at this peer's port.
struct Chosen {
    handler: Http,
    port: u16,
    /// Names that were looked up.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Chosen {
    /// The n-th look-up finds the n-th of these, and the last one again and again.
    fn new(port: u16, allow: &[&str], answers: Vec<Vec<IpAddr>>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let count = AtomicUsize::new(0);
        let noted = Arc::clone(&asked);
        let lookup: Lookup = Arc::new(move |host| {
            noted.lock().unwrap().push(host);
            let n = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let found = answers[n].clone();
            Box::pin(async move { Ok(found) })
        });
        let mut config = HttpHandler::new(format!("http://{{data.host}}:{port}/jobs?token=hidden"));
        config.allow = allow.iter().map(|host| AllowedHost::parse(host).unwrap()).collect();
        Self { handler: Http::with_lookup(config, lookup).unwrap(), port, asked }
    }

    async fn run(&self, host: &str) -> Outcome {
        let data = serde_json::json!({"host": host, "secret": "payload"}).to_string();
        self.handler.run(Arc::new(job(&data)), context()).await
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[tokio::test]
async fn f103_a_listed_name_with_a_private_address_is_refused() {
    let mut peer = Peer::saying(&answer("200 OK", "", "1")).await;
    let chosen = Chosen::new(peer.address.port(), &["*.example.org"], vec![vec![HERE]]);
    let reason = fail_reason(chosen.run("inside.example.org").await);
    assert_eq!(
        reason,
        "host inside.example.org has the address 127.0.0.1, which is loopback; add the address to allow if jobs may lead there"
    );
    // a name that is not listed is not even looked up
    let reason = fail_reason(chosen.run("evil.net").await);
    assert_eq!(
        reason,
        "host evil.net is not among the hosts this handler allows; add it to allow if jobs may lead there"
    );
    assert_eq!(chosen.asked(), ["inside.example.org"]);
    for address in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let reason = fail_reason(chosen.run(address).await);
        assert!(reason.starts_with("host ") && !reason.contains("payload") && !reason.contains("hidden"), "{reason}");
    }
    assert_eq!(chosen.asked(), Vec::<String>::new());
    assert!(peer.requests.try_recv().is_err());
}

#[tokio::test]
async fn f103_a_listed_address_may_be_private() {
    let mut peer = Peer::saying(&answer("200 OK", "", "1")).await;
    let chosen = Chosen::new(peer.address.port(), &["*.example.org", "127.0.0.1"], vec![vec![HERE]]);
    for host in ["shop.example.org", "127.0.0.1", "2130706433"] {
        assert_eq!(returned(chosen.run(host).await), "1", "{host}");
    }
    let request = peer.requests.recv().await.unwrap();
    let host = format!("shop.example.org:{}", chosen.port);
    assert_eq!(request.header("host"), Some(host.as_str()), "the name is kept, whatever it stands for");
    assert_eq!(chosen.asked(), ["shop.example.org"]);
}

#[tokio::test]
async fn f103_what_was_checked_is_what_is_connected_to() {
    // the name stands for another address each time it is asked for
    let mut peer = Peer::start(|_| Step::SayAndClose(answer("200 OK", "connection: close\r\n", "1"))).await;
    let next_door = TcpListener::bind((NEXT_DOOR, peer.address.port())).await.unwrap();
    let chosen = Chosen::new(
        peer.address.port(),
        &["rebinding.example.org", "127.0.0.1"],
        vec![vec![HERE], vec![NEXT_DOOR], vec![NEXT_DOOR, HERE]],
    );
    assert_eq!(returned(chosen.run("rebinding.example.org").await), "1");
    assert_eq!(chosen.asked().len(), 1, "asked once for what is checked and connected to");
    peer.closed.recv().await.unwrap();
    let reason = fail_reason(chosen.run("rebinding.example.org").await);
    assert!(reason.contains("has the address 127.0.0.2, which is loopback"), "{reason}");
    // of two the one that may be is called
    assert_eq!(returned(chosen.run("rebinding.example.org").await), "1");
    assert_eq!(chosen.asked().len(), 2);
    drop(chosen);
    let knock = tokio::time::timeout(Duration::from_millis(50), next_door.accept()).await;
    assert!(knock.is_err(), "somebody called next door");
}

#[tokio::test]
async fn f103_a_name_that_stands_for_nothing_is_tried_again() {
    let chosen = Chosen::new(80, &["*"], vec![vec![]]);
    let reason = retry_reason(chosen.run("nothing.example.org").await);
    assert!(reason.starts_with("could not connect to nothing.example.org:80: "), "{reason}");
    // and asked of the system
    let mut config = HttpHandler::new("http://{data.host}/".into());
    config.allow = vec![AllowedHost::Any];
    let handler = Http::new(config).unwrap();
    let ask = |host: &str| handler.run(Arc::new(job(&serde_json::json!({"host": host}).to_string())), context());
    assert!(fail_reason(ask("localhost").await).starts_with("host localhost has the address "));
    let reason = retry_reason(ask("no-such-host.invalid").await);
    assert!(reason.starts_with("could not resolve no-such-host.invalid:80: "), "{reason}");
}
