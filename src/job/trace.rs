//! A place in a distributed trace, as W3C Trace Context spells it and BullMQ stores it with a job.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Flow, JobOptions};

/// Longest `tracestate` that is passed on, in bytes; others have to keep no more either.
const STATE_BYTES: usize = 512;
/// The one flag that decides something: whoever came before keeps the trace.
const SAMPLED: u8 = 1;

/// Where an attempt, or whoever added the job, is in its trace. Neither id is ever zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: u128,
    pub span_id: u64,
    pub is_sampled: bool,
    /// What vendors keep there, as it came.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads the values of the two headers; `None` where the first is not as it has to be. A second that is not is left
    /// out.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let version = hex(parts.next()?, 2)?;
        let (trace_id, span_id) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
        let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
        // versions to come may have more parts, the first one has not
        if version == 0xff || (version == 0 && parts.next().is_some()) || trace_id == 0 || span_id == 0 {
            return None;
        }
        let is_plain = |state: &&str| {
            !state.is_empty() && state.len() <= STATE_BYTES && state.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        };
        Some(Self {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            is_sampled: flags & SAMPLED != 0,
            state: tracestate.map(str::trim).filter(is_plain).map(Into::into),
        })
    }

    /// What the producer stored with a job, unless it asked for no context.
    ///
    /// Protocol: §8, `opts.tm` is a carrier as JSON in a string, `opts.omc` leaves it out.
    #[must_use]
    pub fn stored(opts: &JobOptions) -> Option<Self> {
        let text = opts.extra.get("tm")?.as_str()?;
        if omits_context(opts) {
            return None;
        }
        let carrier: Map<String, Value> = serde_json::from_str(text).ok()?;
        Self::parse(carrier.get("traceparent")?.as_str()?, carrier.get("tracestate").and_then(Value::as_str))
    }

    /// The value of the header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }

    /// As it is stored with a job. Protocol: §8.
    #[must_use]
    pub fn carrier(&self) -> String {
        let mut text = format!(r#"{{"traceparent":"{}""#, self.traceparent());
        if let Some(state) = &self.state {
            write!(text, r#","tracestate":{}"#, Value::from(&**state)).expect("a String takes every write");
        }
        text.push('}');
        text
    }

    /// Stores it with every job of a tree that has none and does not ask for none. Protocol: §8.
    pub fn store_with(&self, flow: &mut Flow) {
        let opts = &mut flow.job.opts;
        if !omits_context(opts) && !opts.extra.contains_key("tm") {
            opts.extra.insert("tm".into(), self.carrier().into());
        }
        flow.children.iter_mut().for_each(|child| self.store_with(child));
    }
}

fn omits_context(opts: &JobOptions) -> bool {
    opts.extra.get("omc").and_then(Value::as_bool).unwrap_or(false)
}

/// So many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit)).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_read_is_written_alike() {
        let context = TraceContext::parse(PARENT, Some("a=1,b=\"2\"")).unwrap();
        assert_eq!(context.traceparent(), PARENT);
        assert!(context.is_sampled);
        let carrier = format!(r#"{{"traceparent":"{PARENT}","tracestate":"a=1,b=\"2\""}}"#);
        assert_eq!(context.carrier(), carrier);
        let opts = JobOptions::parse(&serde_json::json!({ "tm": carrier }).to_string()).unwrap().0;
        assert_eq!(TraceContext::stored(&opts), Some(context));
    }

    #[test]
    fn a_context_that_is_none_is_left_alone() {
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033\r\n-01",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad:?}");
        }
        let newer = TraceContext::parse(&PARENT.replacen("00", "cc", 1).replace("-01", "-03-more"), None).unwrap();
        assert_eq!(newer.traceparent(), PARENT);
        for state in ["", "a=1\r\nX: y", "ä=1", &"x".repeat(513)] {
            assert_eq!(TraceContext::parse(PARENT, Some(state)).unwrap().state, None, "{state:?}");
        }
    }

    #[test]
    fn only_jobs_that_have_none_and_want_one_get_it() {
        let job = |opts: &str, children: Vec<Flow>| Flow {
            queue: super::super::QueueName::new("q").unwrap(),
            job: super::super::NewJob {
                name: String::new(),
                data: serde_json::value::RawValue::NULL.to_owned(),
                opts: JobOptions::parse(opts).unwrap().0,
            },
            children,
        };
        let mut flow = job("{}", vec![job(r#"{"tm":"own"}"#, vec![]), job(r#"{"omc":true}"#, vec![job("{}", vec![])])]);
        TraceContext::parse(PARENT, None).unwrap().store_with(&mut flow);
        let has = |flow: &Flow| flow.job.opts.extra.get("tm").and_then(Value::as_str).map(str::to_owned);
        let given = Some(format!(r#"{{"traceparent":"{PARENT}"}}"#));
        assert_eq!((has(&flow), has(&flow.children[0])), (given.clone(), Some("own".into())));
        assert_eq!((has(&flow.children[1]), has(&flow.children[1].children[0])), (None, given));
    }
}
