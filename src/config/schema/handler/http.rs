//! `[handlers.NAME.http]`.

use super::super::Shape::{Duration, Either, Flag, List, Named, Off, Secret, Size, Table, Whole, Word};
use super::super::{DURATION_OR_OFF, Key, PATH, SIZE_OR_OFF, Shape, TEXTS, URL, key, optional, required};
use super::{ANSWERS, BREAKER};

pub(super) const HTTP: &[Key] = &[
    required("url", URL, "Where jobs are POSTed; placeholders such as {queue} and {data.id} fill path and query."),
    optional(
        "allow",
        TEXTS,
        "What a host that a placeholder fills may become, and private addresses or networks that may be called.",
    ),
    optional("socket", PATH, "The unix socket the endpoint listens on; the host in url is then only a name."),
    optional("ca", PATH, "PEM file with the authorities that vouch for the endpoint, and no others."),
    key("http2", Flag, "false", "Speak HTTP/2 only, in clear text too; otherwise it is spoken where TLS offers it."),
    optional("headers", HEADERS, "Sent with every request."),
    optional("signing_secrets", List(&Secret), "Sign every request with this secret, or with each of a list."),
    key("connect_timeout", Duration, "5s", "Longest wait for the connection."),
    key("response_timeout", DURATION_OR_OFF, "false", "Longest wait for status and headers of the answer."),
    key("min_rate", SIZE_OR_OFF, "16B", "Bytes per second in which an answer has to come once it has begun."),
    key("max_response", Size, "1MiB", "Bytes of the answer that are read."),
    key("max_defer", Duration, "1h", "The longest Retry-After that is obeyed."),
    optional("breaker", BREAKER, "When an endpoint that does not answer is left alone; false for never."),
    key(
        "gone",
        Word(&["fail", "stop"]),
        "fail",
        "An answer 410 fails its job, or also stops the taking of jobs for the endpoint.",
    ),
    key("batch", Either(&[Table(BATCH), Off]), "false", "Several jobs of a queue in one call."),
    key("callback", Flag, "false", "An answer 202 means that the endpoint calls back when it is done."),
    optional("status", Named("^[1-5][0-9][0-9]$", &Word(ANSWERS)), "What status codes mean, over the built-in table."),
];

/// Values may be kept as secrets.
pub(in crate::config::schema) const HEADERS: Shape = Named("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", &super::VALUE);

const BATCH: &[Key] = &[
    key("max", Whole(1, 10_000), "50", "Jobs in one call at most."),
    key("wait", Duration, "20ms", "How long the first one waits for others."),
    key("max_body", Size, "1MiB", "Bytes of all envelopes; a longer one goes alone."),
];
