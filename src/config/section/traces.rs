//! Reads `[traces]`, and the variables of the environment that mean the same to every program that makes spans.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::handler::http::{authorities, check_url, headers};
use crate::config::read::Item;
use crate::config::{Place, Problem, Traces};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What the file says goes before the environment, but for `OTEL_SDK_DISABLED`. `None`: no spans are made.
pub fn traces(item: &Item) -> Option<Traces> {
    if item.is_given() {
        item.expect_table();
    }
    let given = |name| item.child(name);
    let env = Environment(item);
    let is_wanted = given("enabled").flag(item.is_given() || env.names_an_endpoint()) && !env.is_disabled();
    let base = if is_wanted { env.traces() } else { Traces::default() };
    let endpoint = given("endpoint");
    let url = endpoint.text().map(|text| {
        check_url(&endpoint, &text, None);
        if text.contains(['{', '}', '?']) {
            endpoint.error("endpoint holds a '?' or a brace", "write http://HOST:4318");
        }
        whole(&text)
    });
    let traces = Traces {
        ca: authorities(&given("ca"), endpoint.text().as_deref()),
        headers: base.headers.into_iter().chain(headers(&given("headers"))).collect(),
        timeout: given("timeout").duration(MS..=HOUR, base.timeout),
        sample: given("sample").share(base.sample),
        parent_based: given("parent_based").flag(base.parent_based),
        service: given("service").text().unwrap_or(base.service),
        attributes: base.attributes.into_iter().chain(attributes(&given("attributes"))).collect(),
        endpoint: url.unwrap_or(base.endpoint),
    };
    is_wanted.then_some(traces)
}

/// Where spans go on a collector that takes other things too.
fn whole(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(Traces::PATH) { base.to_owned() } else { format!("{base}{}", Traces::PATH) }
}

fn attributes(item: &Item) -> BTreeMap<String, String> {
    item.entries().into_iter().filter_map(|(name, value)| Some((name, value.any_text()?))).collect()
}

/// The variables OpenTelemetry names. What cannot be used is a warning: they are seldom set for one program alone.
struct Environment<'a, 'b>(&'b Item<'a>);

impl<'a> Environment<'a, '_> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.context().env.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    fn warn(&self, name: &str, message: String, help: &str) {
        let place = Place { source: format!("environment variable {name}"), position: None };
        let problem = Problem::warning(message).with_help(help).with_place(place);
        let mut problems = self.0.context().problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn is_disabled(&self) -> bool {
        self.get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    fn names_an_endpoint(&self) -> bool {
        let is_otlp = match self.get("OTEL_TRACES_EXPORTER") {
            None | Some("otlp") => true,
            Some("none") => false,
            Some(other) => {
                let message = format!("traces cannot be exported to {other:?}; none are made");
                self.warn("OTEL_TRACES_EXPORTER", message, "set it to otlp, or to none");
                false
            }
        };
        is_otlp && self.endpoint().is_some()
    }

    fn endpoint(&self) -> Option<String> {
        let whole_url = self.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(str::to_owned);
        let url = whole_url.or_else(|| self.get("OTEL_EXPORTER_OTLP_ENDPOINT").map(whole))?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let help = "set it to http://HOST:4318";
            self.warn("OTEL_EXPORTER_OTLP_ENDPOINT", "the endpoint is no http url; no traces are made".into(), help);
            return None;
        }
        Some(url)
    }

    fn traces(&self) -> Traces {
        let base = Traces::default();
        let either = |specific: &str, general: &str| self.get(specific).or_else(|| self.get(general));
        if let Some(protocol) = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
            .filter(|protocol| *protocol != "http/protobuf")
        {
            let message = format!("traces are sent by http/protobuf, not by {protocol}");
            self.warn("OTEL_EXPORTER_OTLP_PROTOCOL", message, "name the collector's port for HTTP, usually 4318");
        }
        let headers = either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
        let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        let mut attributes = self.pairs("OTEL_RESOURCE_ATTRIBUTES", self.get("OTEL_RESOURCE_ATTRIBUTES"));
        let service = self.get("OTEL_SERVICE_NAME").map(str::to_owned).or(attributes.remove("service.name"));
        let (sample, parent_based) = self.sampler().unwrap_or((base.sample, base.parent_based));
        Traces {
            endpoint: self.endpoint().unwrap_or(base.endpoint),
            headers: self.headers("OTEL_EXPORTER_OTLP_HEADERS", headers),
            timeout: timeout.and_then(|text| text.parse().ok()).map_or(base.timeout, |ms: u32| MS * ms.max(1)),
            service: service.unwrap_or(base.service),
            attributes,
            sample,
            parent_based,
            ..base
        }
    }

    fn headers(&self, variable: &str, text: Option<&str>) -> BTreeMap<String, String> {
        let headers = self.pairs(variable, text);
        for value in headers.values() {
            self.0.context().keep_secret(value);
        }
        headers
    }

    fn sampler(&self) -> Option<(f64, bool)> {
        let name = self.get("OTEL_TRACES_SAMPLER")?;
        let share = || {
            let text = self.get("OTEL_TRACES_SAMPLER_ARG")?;
            let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
            if share.is_none() {
                self.warn("OTEL_TRACES_SAMPLER_ARG", format!("{text:?} is no number from 0 to 1"), "set it to 0.1");
            }
            share
        };
        let (name, parent_based) = name.strip_prefix("parentbased_").map_or((name, false), |name| (name, true));
        let share = match name {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => share().unwrap_or(1.0),
            other => {
                let message = format!("there is no sampler {other:?}; every trace is kept");
                self.warn("OTEL_TRACES_SAMPLER", message, "set it to parentbased_traceidratio");
                return None;
            }
        };
        Some((share, parent_based))
    }

    /// `name=value` with commas between, values percent-encoded.
    fn pairs(&self, variable: &str, text: Option<&str>) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        for pair in text.unwrap_or_default().split(',').filter(|pair| !pair.trim().is_empty()) {
            let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
                // what it holds may be a secret
                self.warn(variable, "it holds something that is no name=value".into(), "write name=value,name=value");
                continue;
            };
            let value = percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
            pairs.insert(name.trim().to_owned(), value);
        }
        pairs
    }
}
