//! `[status]` and what queues have instead, read.

use super::*;
use crate::config::{Status, StatusFormat, StatusStream};

fn statuses(text: &str) -> Status {
    Files::one(&format!("{text}\n[queues.a]\nhandler = \"log\"\n[queues.b]\nhandler = \"log\"\n[handlers.log.log]\n"))
        .load()
        .status
}

#[test]
fn a_queue_has_its_own_over_the_defaults_over_what_holds_for_all() {
    let status = statuses(
        "[status]\ntenant = \"/t\"\nexcept = [\"progress\"]\nnames = { active = \"BUSY\" }\nstream = true\n\
         [defaults.status]\nformat = \"simple\"\n\
         [queues.b.status]\nchannel = \"own\"\nexcept = [\"waiting\"]\nnames = { failed = \"BAD\" }",
    );
    assert_eq!((status.format, status.told.len()), (StatusFormat::Full, 9));
    assert_eq!(status.stream, Some(StatusStream::default()));
    let (a, b) = (status.of("a"), status.of("b"));
    assert_eq!((a.format, a.tenant.as_str(), a.told.len()), (StatusFormat::Simple, "/t", 9));
    assert_eq!((b.format, &*b.channels, b.told.len()), (StatusFormat::Simple, &["own".to_owned()][..], 8));
    assert_eq!((b.word("active"), b.word("failed"), a.word("failed")), ("BUSY", "BAD", "FAILED"));
    assert_eq!(b.stream, status.stream, "there is one stream for all");
    assert_eq!(status.of("unknown").format, StatusFormat::Full);
}

#[test]
fn a_queue_can_be_silent_or_speak_alone() {
    let status = statuses("[queues.a.status]\nenabled = false");
    assert!(status.enabled && !status.of("a").enabled && status.of("b").enabled);
    let status =
        statuses("[status]\nenabled = false\n[queues.a.status]\nenabled = true\nonly = [\"completed\", \"failed\"]");
    assert!(!status.enabled && status.of("a").enabled && !status.of("b").enabled);
    assert_eq!(status.of("a").told, ["completed", "failed"].into());
}
