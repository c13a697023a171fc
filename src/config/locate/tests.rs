use super::*;

fn document(text: &str) -> (Document, Vec<Problem>) {
    Document::parse("a.toml".into(), Path::new(""), text.into())
}

fn path(text: &str) -> KeyPath {
    text.split('.').map(str::to_owned).collect()
}

fn place(text: &str, key: &KeyPath, half: Half) -> (usize, usize, String) {
    let (document, problems) = document(text);
    assert_eq!(problems, []);
    let sources = Sources { documents: vec![document], ..Sources::default() };
    let at = sources.place(key, half).unwrap().position.unwrap();
    (at.line, at.column, at.line_text)
}

#[test]
fn values_keys_and_headers_are_found() {
    let text =
        "[redis]\nurl = \"x\"\n\n[queues.\"a.b\"]\nargv = [1, \"é\", 2]\nbackoff = { delay = \"1s\" }\nx.y = 1\n";
    assert_eq!(place(text, &path("redis.url"), Half::Value), (2, 7, "url = \"x\"".into()));
    assert_eq!(place(text, &path("redis.url"), Half::Key).1, 1);
    let queue = KeyPath::default().key("queues").key("a.b");
    assert_eq!(place(text, &queue, Half::Value), (4, 9, "[queues.\"a.b\"]".into()));
    // counted in characters, not bytes
    assert_eq!(place(text, &queue.key("argv").index(2), Half::Value).1, 17);
    assert_eq!(place(text, &queue.key("backoff"), Half::Value).1, 11);
    assert_eq!(place(text, &queue.key("backoff").key("delay"), Half::Value).1, 21);
    assert_eq!(place(text, &queue.key("x").key("y"), Half::Value), (7, 7, "x.y = 1".into()));
}

#[test]
fn a_key_that_is_not_there_is_placed_at_its_table() {
    let text = "[queues.email]\nattempts = 1\n";
    assert_eq!(place(text, &path("queues.email.handler"), Half::Value), (1, 9, "[queues.email]".into()));
}

#[test]
fn what_was_given_outside_the_files_wins() {
    let (document, _) = document("[redis]\nprefix = \"a\"\n");
    let given = Given { path: path("redis.prefix"), source: "environment variable OXHERD__REDIS__PREFIX".into() };
    let sources = Sources { documents: vec![document], given: vec![given], ..Sources::default() };
    let place = sources.place(&path("redis.prefix"), Half::Value).unwrap();
    assert_eq!((place.source.as_str(), place.position), ("environment variable OXHERD__REDIS__PREFIX", None));
}

#[test]
fn broken_lines_are_reported_once_each_and_the_rest_is_read() {
    let (document, problems) = document("[a]\nx =\ny = \"open\nz = 0\nw = 1 2 3\n");
    let lines: Vec<_> = problems.iter().map(|p| p.place.as_ref().unwrap().position.as_ref().unwrap().line).collect();
    assert_eq!(lines, [2, 3, 5]);
    assert_eq!(problems[0].message, "a value is missing behind the '='");
    assert!(matches!(document.find(&path("a.z")).unwrap().kind, Kind::Integer(0)));
}

#[test]
fn both_places_of_a_duplicate_are_named() {
    let (_, problems) = document("[a]\nx = 1\n[queues.b]\nx = 1\n x = 2\n[a]\ny = 1\n");
    let text: Vec<_> = problems.iter().map(|p| p.render(false)).collect();
    assert_eq!(
        text[0],
        "error: x is there twice\n --> a.toml:5:2\n  |\n5 |  x = 2\n  |  ^\n  = help: first at a.toml:4:1; keep one of them"
    );
    assert!(text[1].contains("[a] is there twice"), "{}", text[1]);
    assert!(text[1].contains("first at a.toml:1:1"), "{}", text[1]);
    assert_eq!(text.len(), 2);
}

#[test]
fn secrets_in_a_line_are_covered() {
    for (line, shown) in [
        (r#"password = "hunter2""#, "password = ***"),
        (r#"url = "redis://me:hunter2@host:1/0" # x"#, r#"url = "redis://me:***@host:1/0" # x"#),
        (r#"url = "redis://:p@ss@host""#, r#"url = "redis://:***@host""#),
        (r#"headers = { "X-Api-Key" = "hunter2" }"#, r#"headers = { "X-Api-Key" = ***"#),
        (r#"redis = { password = "hunter2" }"#, "redis = { password = ***"),
        (r#"Authorization = "Bearer x""#, "Authorization = ***"),
        (r#"password = { file = "x" }"#, r#"password = { file = "x" }"#),
        ("concurrency = 0", "concurrency = 0"),
        (r#"url = "redis://:p/ss@host""#, r#"url = "redis://:***@host""#),
        (r#"url = "http://api/a@b""#, r#"url = "http://api/a@b""#),
    ] {
        assert_eq!(mask(line), shown);
    }
}
