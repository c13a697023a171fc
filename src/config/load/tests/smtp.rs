//! `[handlers.NAME.smtp]`, read.

use super::*;
use crate::config::{MailTls, OnAmbiguous};

const MAIL: &str = "[queues.email]\nhandler = \"mailer\"\n[handlers.mailer.smtp]\nfrom = \"App <app@example.org>\"\nurl = \"smtp://mail.example.org\"\n";

fn problem(lines: &str) -> String {
    Files::one(&format!("{MAIL}{lines}\n")).one_problem()
}

fn smtp(files: &Files) -> crate::config::SmtpHandler {
    match files.load().handlers.remove("mailer") {
        Some(Handler::Smtp(smtp)) => *smtp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mail_server_is_read_and_shown() {
    let lines = "username = \"me\"\npassword = { env = \"P\" }\non_ambiguous = \"fail\"\nredirect_all_to = \"dev@example.org\"\n\
                 rate = { max = 3, per = \"1s\" }\ndomain_rates = { \"Slow.Example\" = { max = 1, per = \"1m\" } }\n";
    let files = Files::one(&format!("{MAIL}{lines}")).env("P", "hunter2");
    let read = smtp(&files);
    assert_eq!((read.host.as_str(), read.port, read.tls), ("mail.example.org", 587, MailTls::StartTls));
    assert_eq!((read.on_ambiguous, read.rate.unwrap().max), (OnAmbiguous::Fail, 3));
    assert_eq!(read.domain_rates["slow.example"].per, Duration::from_secs(60));
    assert_eq!(read.redirect_all_to, ["dev@example.org"]);
    let shown = crate::config::show(&files.load());
    assert!(shown.contains("password = \"***\"") && shown.contains("smtp://me@mail.example.org:587"), "{shown}");
    assert!(!shown.contains("hunter2") && !format!("{read:?}").contains("hunter2"));
    // what is shown is read again as the same
    let again = Files::one(
        &shown
            .replace("password = \"***\"", "password = \"hunter2\"")
            .replace("me@", "")
            .replace("[handlers.mailer.smtp]", "[handlers.mailer.smtp]\nusername = \"me\""),
    );
    assert_eq!(smtp(&again), read);
}

#[test]
fn f127_mistakes_of_a_mail_server_are_named() {
    for (lines, message) in [
        ("tls = \"of\"", "tls must be \"required\" or \"off\", got \"of\""),
        ("reply_to = \"nobody\"", "reply_to must be a mail address, got \"nobody\""),
        ("redirect_all_to = [\"a@b.example\", 7]", "redirect_all_to must be a text, got 7"),
        ("envelope_from = \"a@b.example\\nx\"", "envelope_from must be a mail address, got \"a@b.example\\nx\""),
        ("allow_from = \"example.org\"", "allow_from must be an address or a pattern of some, got \"example.org\""),
        ("hello = \"a b\"", "hello must be the name of a host, got \"a b\""),
        ("rate = { max = 3 }", "rate needs per"),
        ("rate = 3", "rate must be a table, got 3"),
        ("domain_rates = { \"*.example\" = { max = 1, per = \"1s\" } }", "\"*.example\" is not the name of a domain"),
        ("username = \"me\"", "a user without a password cannot log in"),
        ("password = \"p\"", "a password without a user cannot log in"),
        ("on_partial = \"retry\"", "on_partial must be \"complete\" or \"fail\", got \"retry\""),
        ("max_message = \"1B\"", "max_message must be at least 1KiB, got \"1B\""),
    ] {
        let problem = problem(lines);
        assert_eq!(short(&problem).0, format!("error: {message}"), "{lines}");
    }
    for (table, message) in [
        ("from = \"a@b.example\"", "an smtp handler needs url"),
        ("url = \"smtp://h\"", "an smtp handler needs from"),
        ("url = \"http://h\"\nfrom = \"a@b.example\"", "url must be smtp or smtps, got \"http\""),
        ("url = \"smtp://h\"\nfrom = \"b.example\"", "from must be a mail address, got \"b.example\""),
        ("url = \"smtps://u:p@h\"\nfrom = \"a@b.example\"\nusername = \"v\"", "username is in the url too"),
        (
            "url = \"smtps://h\"\nfrom = \"a@b.example\"\ntls = \"off\"",
            "smtps:// is TLS from the first byte on, and tls says off",
        ),
    ] {
        let text = format!("[queues.q]\nhandler = \"h\"\n[handlers.h.smtp]\n{table}\n");
        assert_eq!(short(&Files::one(&text).one_problem()).0, format!("error: {message}"), "{table}");
    }
}

#[test]
fn f109_a_login_without_tls_is_refused_and_never_shown() {
    let text = MAIL.replace("smtp://", "smtp://me:hunter2@") + "tls = \"off\"\n";
    let problem = Files::one(&text).one_problem();
    assert!(
        problem.contains("tls = \"off\" would send the password in clear") && !problem.contains("hunter2"),
        "{problem}"
    );
}

#[test]
fn every_mistake_in_a_template_is_shown_at_its_place() {
    let files = Files::new(&[
        ("oxherd.toml", &format!("{MAIL}templates = \"mail\"\n")),
        ("mail/welcome.txt", "Hello {{ name }}\n  {% if %}\n"),
        ("mail/welcome.html", "{% extends \"layout.html\" %}"),
        ("mail/fine.html", "{% include \"none.html\" ignore missing %}{% include which %}{{ x }}"),
    ]);
    let problems = files.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, wants) in problems.iter().zip([
        ["template welcome.html: there is no template \"layout.html\"", "mail/welcome.html:1:1"],
        ["template welcome.txt: ", "mail/welcome.txt:2:3"],
    ]) {
        for want in wants {
            assert!(problem.contains(want), "{problem}");
        }
    }
    assert!(problem("templates = \"none\"").contains("cannot read the templates in "));
    assert!(problem("attachments_dir = \"none\"").contains("is not a directory"));
    assert!(problem("ca = \"none.pem\"").contains("none.pem as ca: No such file"));
    assert!(problem("ca = \"oxherd.toml\"").contains("oxherd.toml as ca: no certificate in it"));
}

#[test]
fn a_changed_template_changes_the_queues_that_use_it() {
    let files = Files::new(&[("oxherd.toml", &format!("{MAIL}templates = \"mail\"\n")), ("mail/welcome.txt", "Hello")]);
    let old = files.load();
    assert!(crate::config::Diff::between(&old, &files.load()).changed.is_empty());
    fs::write(files.path("mail/welcome.txt"), "Hi").unwrap();
    let changed = crate::config::Diff::between(&old, &files.load()).changed;
    assert_eq!(changed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["email"]);
}
