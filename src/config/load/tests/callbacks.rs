//! `[callbacks]`, read.

use super::*;

#[test]
fn endpoints_are_told_an_address_they_can_call() {
    for (lines, url) in [
        ("listen = \"127.0.0.1:7118\"", "http://127.0.0.1:7118"),
        ("listen = \"[::1]:7118\"", "http://[::1]:7118"),
        (
            "listen = \"0.0.0.0:7118\"\nurl = \"https://jobs.example.org/worker-1/\"",
            "https://jobs.example.org/worker-1",
        ),
    ] {
        let files = Files::one(&format!("{SMALL}callback = true\n[callbacks]\n{lines}\n"));
        assert_eq!(files.load().callbacks.unwrap().url, url);
    }
    assert!(Files::one(SMALL).load().callbacks.is_none());
}

#[test]
fn f127_callbacks_nobody_could_make_are_refused() {
    for (lines, message) in [
        ("listen = \"7118\"", "\"7118\" is not an address and a port"),
        ("listen = \"0.0.0.0:7118\"", "0.0.0.0:7118 is every address of this host, and no endpoint can call that"),
        ("listen = \"127.0.0.1:0\"", "port 0 is any free port, and endpoints are to know which"),
        ("url = \"http://h:1\"", "[callbacks] needs listen"),
        ("listen = \"127.0.0.1:1\"\nurl = \"h:1\"", "\"h:1\" is not a URL to call"),
        ("listen = \"127.0.0.1:1\"\nurl = \"http://h/?a\"", "\"http://h/?a\" is not a URL to call"),
    ] {
        let problem = Files::one(&format!("{SMALL}callback = true\n[callbacks]\n{lines}\n")).one_problem();
        assert_eq!(short(&problem).0, format!("error: {message}"));
    }
    let problem = Files::one(&format!("{SMALL}callback = true\n")).one_problem();
    assert_eq!(short(&problem).0, "error: nothing listens for callbacks");
}
