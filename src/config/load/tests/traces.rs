//! `[traces]`, read, and what OpenTelemetry's variables say beside it.

use std::time::Duration;

use super::*;
use crate::config::Traces;

fn with(traces: &str, env: &[(&str, &str)]) -> Files {
    let files = Files::one(&format!("{SMALL}{traces}"));
    env.iter().fold(files, |files, (name, value)| files.env(name, value))
}

#[test]
fn spans_are_made_where_the_file_or_the_environment_says_so() {
    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    let endpoint = |traces: &str, env: &[(&str, &str)]| with(traces, env).load().traces.map(|traces| traces.endpoint);
    let is = |url: &str| Some(url.to_owned());
    assert_eq!(endpoint("", &[]), None);
    assert_eq!(with("[traces]\n", &[]).load().traces, Some(Traces::default()));
    assert_eq!(endpoint("", &[ENDPOINT]), is("http://collector:4318/v1/traces"));
    let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/elsewhere");
    assert_eq!(endpoint("", &[ENDPOINT, whole]), is("https://c/elsewhere"));
    let mine = "[traces]\nendpoint = \"https://mine/otlp\"\n";
    assert_eq!(endpoint(mine, &[ENDPOINT, whole]), is("https://mine/otlp/v1/traces"));
    assert_eq!(endpoint("[traces]\nendpoint = \"http://h/v1/traces\"\n", &[]), is("http://h/v1/traces"));
    assert_eq!(endpoint("[traces]\nenabled = false\n", &[ENDPOINT]), None);
    assert_eq!(endpoint("", &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]), None);
    assert_eq!(endpoint(mine, &[("OTEL_SDK_DISABLED", "TRUE")]), None);
}

#[test]
fn the_file_goes_before_the_environment() {
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%3Db, X-Own = 1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_SERVICE_NAME", "from-env"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=mail,site=a%2Cb"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    let traces = with("", &env).load().traces.unwrap();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    assert_eq!(traces.headers, pairs(&[("api-key", "a=b"), ("X-Own", "1")]));
    assert_eq!(traces.attributes, pairs(&[("team", "mail"), ("site", "a,b")]));
    assert_eq!((traces.service.as_str(), traces.timeout), ("from-env", Duration::from_millis(2500)));
    assert_eq!((traces.sample, traces.parent_based), (0.25, false));
    let file = "[traces]\nservice = \"mine\"\nsample = 0.5\nparent_based = true\ntimeout = \"1s\"\n\
                headers = { X-Own = \"2\" }\nattributes = { team = \"ops\" }\n";
    let traces = with(file, &env).load().traces.unwrap();
    assert_eq!(traces.headers, pairs(&[("api-key", "a=b"), ("X-Own", "2")]));
    assert_eq!(traces.attributes, pairs(&[("team", "ops"), ("site", "a,b")]));
    assert_eq!((traces.service.as_str(), traces.timeout), ("mine", Duration::from_secs(1)));
    assert_eq!((traces.sample, traces.parent_based), (0.5, true));
    for (sampler, share) in [("parentbased_always_on", 1.0), ("parentbased_always_off", 0.0)] {
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_TRACES_SAMPLER", sampler)];
        let traces = with("", &env).load().traces.unwrap();
        assert_eq!((traces.sample, traces.parent_based), (share, true), "{sampler}");
    }
}

#[test]
fn a_variable_that_cannot_be_used_is_a_warning() {
    for (name, value, message) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "traces are sent by http/protobuf, not by grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "there is no sampler \"sometimes\"; every trace is kept"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team", "it holds something that is no name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret", "it holds something that is no name=value"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "traces cannot be exported to \"zipkin\"; none are made"),
    ] {
        let problem = with("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), (name, value)]).one_problem();
        assert_eq!(short(&problem).0, format!("warning: {message}"));
        assert!(problem.contains(&format!("environment variable {name}")) && !problem.contains("s3cret"), "{problem}");
    }
}

#[test]
fn f127_an_endpoint_that_is_none_is_refused() {
    for (url, message) in [
        ("collector:4318", "\"collector:4318\" is not a URL"),
        ("grpc://c:4317", "url must be http or https, got \"grpc\""),
        ("http://c/{id}", "endpoint holds a '?' or a brace"),
    ] {
        let problem = with(&format!("[traces]\nendpoint = \"{url}\"\n"), &[]).one_problem();
        assert_eq!(short(&problem).0, format!("error: {message}"));
    }
}
