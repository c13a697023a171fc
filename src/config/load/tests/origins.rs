use super::*;
use crate::config::{Origins, show_origins, show_origins_json};

fn load_with(files: &Files) -> (Config, Origins) {
    load_with_origins(&files.options).unwrap_or_else(|error| panic!("{error}"))
}

/// The remark behind each value, by key; directory names shortened.
fn origins(files: &Files) -> BTreeMap<String, String> {
    let (config, origins) = load_with(files);
    let text = show_origins(&config, &origins).replace(&format!("{}/", files.directory.path().display()), "");
    // what is shown is TOML as without origins
    assert_eq!(toml::from_str::<toml::Table>(&text).unwrap(), toml::from_str(&crate::config::show(&config)).unwrap());
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else {
            let (key, origin) = (line.split(" = ").next().unwrap(), line.rsplit("  # ").next().unwrap());
            found.insert(format!("{section}.{key}"), origin.to_owned());
        }
    }
    found
}

#[test]
fn every_value_says_where_it_comes_from() {
    let main = "\
include = [\"more/*.toml\"]
[redis]
url = \"redis://${WHO}@cache:6379/${DB:-0}\"
password = { env = \"PW\" }
[defaults]
attempts = 7
backoff = { delay = \"2s\" }
status = { format = \"simple\" }
[queues.email]
handler = \"app\"
backoff.max = \"1h\"
keep_completed = 20
status = { except = [\"progress\"] }
[schedules.s]
every = \"30m\"
queue = \"email\"
backoff = { jitter = 0.5 }
data = { deep = { er = 1 } }
";
    let more = "[handlers.app.http]\nurl = \"http://x/\"\nbreaker = false\n[daemon]\ntimezone = \"Europe/Oslo\"\n";
    let files = Files::new(&[("oxherd.toml", main), ("more/app.toml", more)])
        .env("WHO", "me")
        .env("PW", "open sesame")
        .env("OXHERD__QUEUES__EMAIL__CONCURRENCY", "9")
        .env("REDIS_URL", "redis://elsewhere")
        .set("handlers.app.http.headers.X=abc")
        .set("shutdown.drain=1m");
    let found = origins(&files);
    for (key, origin) in [
        ("redis.url", "oxherd.toml:3:1 with ${DB} with ${WHO} and oxherd.toml:4:1"),
        ("redis.prefix", "default"),
        ("queues.email.handler", "oxherd.toml:10:1"),
        ("queues.email.attempts", "oxherd.toml:6:1, by [defaults]"),
        ("queues.email.concurrency", "environment variable OXHERD__QUEUES__EMAIL__CONCURRENCY"),
        ("queues.email.backoff.delay", "oxherd.toml:7:13, by [defaults]"),
        ("queues.email.backoff.max", "oxherd.toml:11:9"),
        ("queues.email.backoff.jitter", "default"),
        ("queues.email.keep_completed.count", "oxherd.toml:12:1"),
        ("queues.email.status.format", "oxherd.toml:8:12, by [defaults.status]"),
        ("queues.email.status.only", "oxherd.toml:13:12"),
        ("queues.email.status.tenant", "default"),
        ("handlers.app.http.url", "more/app.toml:2:1, included"),
        ("handlers.app.http.breaker", "more/app.toml:3:1, included"),
        ("handlers.app.http.http2", "default"),
        ("handlers.app.http.headers.X", "--set handlers.app.http.headers.X"),
        ("schedules.s.timezone", "more/app.toml:5:1, included, by [daemon]"),
        ("schedules.s.backoff.delay", "oxherd.toml:7:13, by [defaults]"),
        ("schedules.s.data.deep.er", "oxherd.toml:18:19"),
        ("shutdown.drain", "--set shutdown.drain"),
    ] {
        if key == "schedules.s.timezone" && !found.contains_key(key) {
            continue; // an interval follows no zone
        }
        assert_eq!(found.get(key).map(String::as_str), Some(origin), "{key}");
    }
}

#[test]
fn redis_can_come_from_outside() {
    let url = |files: Files| origins(&files)["redis.url"].clone();
    let with_url = || Files::one(&format!("[redis]\nurl = \"redis://x\"\npassword = \"p\"\n{SMALL}"));
    assert_eq!(url(Files::one(SMALL)), "default");
    let outside = |files: Files| files.env("REDIS_URL", "redis://y").env("REDIS_PASSWORD", "p");
    let from_env = "environment variable REDIS_URL and environment variable REDIS_PASSWORD";
    assert_eq!(url(outside(Files::one(SMALL))), from_env);
    assert_eq!(url(outside(with_url())), "oxherd.toml:2:1 and oxherd.toml:3:1");
    let mut flagged = outside(with_url());
    flagged.options.redis_url = Some("redis://z".into());
    assert_eq!(url(flagged), "--redis and environment variable REDIS_PASSWORD");
}

#[test]
fn traces_can_come_from_the_variables_of_opentelemetry() {
    let files = Files::one(&format!("[traces]\nservice = \"mine\"\n{SMALL}"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
        .env("OTEL_SERVICE_NAME", "theirs");
    let found = origins(&files);
    assert_eq!(found["traces.endpoint"], "environment variable OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_eq!((found["traces.service"].as_str(), found["traces.sample"].as_str()), ("oxherd.toml:2:1", "default"));
}

#[test]
fn origins_are_objects_in_json_and_show_no_secret() {
    let text = "[redis]\nurl = \"redis://me:open-sesame@x\"\n[queues.q]\nhandler = \"a\"\n[handlers.a.http]\n\
                url = \"http://x/\"\nheaders = { Authorization = \"${KEY}\", \"X-Token\" = \"open-sesame\" }\n";
    let files = Files::one(text).env("KEY", "open-sesame").env("OXHERD__QUEUES__Q__TIMEOUT", "5m");
    let (config, origins) = load_with(&files);
    let json = show_origins_json(&config, &origins);
    assert!(!json.to_string().contains("sesame") && !show_origins(&config, &origins).contains("sesame"), "{json}");
    let of = |key: &str| {
        let found = json.as_array().unwrap().iter().find(|value| value["key"] == key);
        found.unwrap_or_else(|| panic!("no {key} in {json:#}")).clone()
    };
    let authorization = of("handlers.a.http.headers.Authorization");
    assert_eq!(authorization["path"], serde_json::json!(["handlers", "a", "http", "headers", "Authorization"]));
    assert_eq!(authorization["value"], "***");
    let file = files.path("oxherd.toml").display().to_string();
    let origin = serde_json::json!({
        "kind": "file", "file": file, "line": 7, "column": 13, "included": false, "variables": ["KEY"],
    });
    assert_eq!(authorization["origins"], serde_json::json!([origin]));
    let variable = serde_json::json!([{ "kind": "environment", "variable": "OXHERD__QUEUES__Q__TIMEOUT" }]);
    assert_eq!((&of("queues.q.timeout")["value"], &of("queues.q.timeout")["origins"]), (&"5m".into(), &variable));
    assert_eq!(of("queues.q.attempts")["origins"], serde_json::json!([{ "kind": "default" }]));
}
