//! Endpoints on a unix socket.

use super::*;

fn config(path: &std::path::Path) -> HttpHandler {
    let mut config = HttpHandler::new("http://app.internal/jobs/{queue}".into());
    config.socket = Some(path.to_owned());
    config
}

#[tokio::test]
async fn requests_go_over_the_socket_and_its_connections_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let mut peer = Peer::on_socket(&path, |_| Step::Say(answer("200 OK", "", "1")));
    let handler = Http::new(config(&path)).unwrap();
    for _ in 0..3 {
        assert_eq!(returned(run(&handler).await), "1");
        let request = peer.requests.recv().await.unwrap();
        assert!(request.head.starts_with("POST /jobs/email HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!((request.header("host"), request.connection), (Some("app.internal"), 0));
        assert!(request.body.contains("\"data\":{\"to\":\"a@example.org\"}"), "{}", request.body);
    }
}

#[tokio::test]
async fn f94_reasons_name_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let handler = Http::new(config(&path)).unwrap();
    let shown = path.display();
    assert_eq!(
        retry_reason(run(&handler).await),
        format!("could not connect to {shown}: ENOENT: No such file or directory")
    );
    // nobody listens any more
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert_eq!(
        retry_reason(run(&handler).await),
        format!("could not connect to {shown}: ECONNREFUSED: Connection refused")
    );
    std::fs::remove_file(&path).unwrap();
    let _peer = Peer::on_socket(&path, |_| Step::SayAndClose(String::new()));
    assert!(retry_reason(run(&handler).await).starts_with(&format!("no answer from {shown}: ")));
}
