//! `[handlers.NAME.smtp]`.

use super::super::Shape::{Duration, Named, Secret, Size, Whole, Word};
use super::super::queue::RATE_OR_OFF;
use super::super::{Key, PATH, TEXT, TEXTS, key, optional, required};
use super::BREAKER;

/// Most recipients and connections that can be asked for.
const MOST: i64 = 100_000;

pub(super) const SMTP: &[Key] = &[
    required("url", Secret, "The mail server: smtps://HOST, or smtp://HOST with STARTTLS; may hold user and password."),
    optional("username", TEXT, "The user, when the url does not hold it."),
    optional("password", Secret, "The password, when the url does not hold it; never sent without TLS."),
    key("tls", Word(&["required", "off"]), "required", "off, with smtp://: in clear, and without login."),
    optional("ca", PATH, "A file of certificates (PEM), trusted instead of the system's."),
    optional("hello", TEXT, "What we call ourselves; without it, the host's name."),
    required("from", TEXT, "The sender, as in \"Name <user@example.org>\"."),
    optional("envelope_from", TEXT, "Where bounces go; without it, to the address of from."),
    optional("reply_to", TEXTS, "An address or a list, for mails that say none."),
    optional("allow_from", TEXTS, "Addresses a job may send from; * and ? stand for characters."),
    optional("redirect_all_to", TEXTS, "Everything goes here and to nobody else, for staging."),
    optional("templates", PATH, "A directory of templates; read and checked with the configuration."),
    optional("attachments_dir", PATH, "Where files lie that jobs may attach by path."),
    key("rate", RATE_OR_OFF, "false", "Mails to one recipient domain, of this process."),
    optional("domain_rates", Named("^[^@*]+$", &RATE_OR_OFF), "Domains with a rate of their own."),
    key("max_recipients", Whole(1, MOST), "50", "Of to, cc and bcc together."),
    key("max_attachment", Size, "10MiB", "One attachment, decoded."),
    key("max_message", Size, "25MiB", "The whole mail, as it is sent."),
    key(
        "on_partial",
        Word(&["complete", "fail"]),
        "complete",
        "What becomes of a job whose mail some recipients refused and others took.",
    ),
    key(
        "on_ambiguous",
        Word(&["retry", "fail"]),
        "retry",
        "What becomes of a job whose mail was sent and not answered.",
    ),
    key("greylist", Duration, "5m", "The shortest wait after a temporary refusal."),
    key("connect_timeout", Duration, "10s", "Longest wait for a connection that is ready: TCP, TLS, login."),
    key("timeout", Duration, "30s", "Longest wait for one answer."),
    key("data_timeout", Duration, "2m", "Longest time for the mail's content and its answer."),
    key("connections", Whole(1, MOST), "5", "Connections at one time, of this process."),
    key("idle", Duration, "30s", "A connection unused for this long is closed; \"0s\" keeps none."),
    optional("breaker", BREAKER, "When a server that fails is left alone; false for never."),
];
