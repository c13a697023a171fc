//! The mails an operator keeps as templates. Compiled when the handler is built; a job says which one and what fills it.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};

use crate::config::MailTemplates;

/// Templates of one directory, ready.
pub(super) struct Templates {
    environment: Environment<'static>,
    known: Vec<String>,
}

/// What a template makes of a mail; each part only where there is a file for it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rendered {
    pub(super) subject: Option<String>,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
}

impl Templates {
    /// Compiles all of them. The error names file and line.
    pub(super) fn compile(files: &MailTemplates) -> Result<Self, String> {
        let mut environment = Environment::new();
        // a mail with a hole in it is worse than none
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // for errors that name the variable
        environment.set_debug(true);
        for (name, text) in &files.files {
            environment
                .add_template_owned(name.clone(), text.clone())
                .map_err(|error| format!("in {}: {error}", files.directory.display()))?;
        }
        let parts = |name: &String| {
            let bare = name.strip_suffix(".txt").or_else(|| name.strip_suffix(".html"))?;
            (!bare.ends_with(SUBJECT)).then(|| bare.to_owned())
        };
        let mut known: Vec<String> = files.files.keys().filter_map(parts).collect();
        known.dedup();
        Ok(Self { environment, known })
    }

    /// Fills in `NAME.subject.txt`, `NAME.txt` and `NAME.html`. In the latter two `subject` is the subject, unless the
    /// context has one of its own.
    pub(super) fn render(
        &self,
        name: &str,
        context: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Rendered, String> {
        if !self.known.iter().any(|known| known == name) {
            return Err(format!("template {name:?} does not exist; known are {}", self.known.join(", ")));
        }
        let subject = self.part(&format!("{name}{SUBJECT}.txt"), &Value::from(Serde(context)))?;
        let subject = subject.map(|subject| subject.trim().to_owned());
        let mut with_subject = context.clone();
        if let Some(subject) = &subject {
            with_subject.entry("subject").or_insert_with(|| subject.clone().into());
        }
        let context = Value::from(Serde(&with_subject));
        let (text, html) =
            (self.part(&format!("{name}.txt"), &context)?, self.part(&format!("{name}.html"), &context)?);
        Ok(Rendered { subject, text, html })
    }

    fn part(&self, file: &str, context: &Value) -> Result<Option<String>, String> {
        let Ok(template) = self.environment.get_template(file) else { return Ok(None) };
        template.render(context.clone()).map(Some).map_err(|error| describe(&error))
    }
}

const SUBJECT: &str = ".subject";

/// The innermost error: what went wrong, not by which includes it was reached.
fn describe(error: &minijinja::Error) -> String {
    let mut error = error;
    while let Some(inner) =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<minijinja::Error>())
    {
        error = inner;
    }
    let place = format!("template {}, line {}", error.name().unwrap_or("?"), error.line().unwrap_or(1));
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    format!("{place}: {what}; the job's context must have it")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn compile(files: &[(&str, &str)]) -> Result<Templates, String> {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Templates::compile(&MailTemplates { directory: "mail".into(), files })
    }

    fn render(files: &[(&str, &str)], name: &str, context: &serde_json::Value) -> Result<Rendered, String> {
        compile(files).unwrap().render(name, context.as_object().unwrap())
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let files = [
            ("a.subject.txt", "Hi {{ name }}\n"),
            ("a.txt", "{{ name }} {{ n }}"),
            ("a.html", "<title>{{ subject }}</title>{{ name }}"),
        ];
        let rendered = render(&files, "a", &json!({"name": "<b>&", "n": 1.5})).unwrap();
        assert_eq!(rendered.subject.as_deref(), Some("Hi <b>&"));
        assert_eq!(rendered.text.as_deref(), Some("<b>& 1.5"));
        assert_eq!(rendered.html.as_deref(), Some("<title>Hi &lt;b&gt;&amp;</title>&lt;b&gt;&amp;"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let files = [("a.txt", "one\n{{ name }}"), ("b.txt", "{{ user.name }}"), ("c.txt", "{% include \"a.txt\" %}")];
        for (name, context, why) in [
            ("a", json!({}), "template a.txt, line 2: undefined value: `name`"),
            ("b", json!({"user": {}}), "template b.txt, line 1: undefined value: `user.name`"),
            ("c", json!({}), "template a.txt, line 2: undefined value: `name`"),
        ] {
            let error = render(&files, name, &context).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_job_names_a_template_and_nothing_else() {
        let files = [("a.txt", "a"), ("a.subject.txt", "s"), ("parts/b.html", "b")];
        for name in ["../a", "/etc/passwd", "", "a.txt", "a.subject", "A"] {
            let error = render(&files, name, &json!({})).unwrap_err();
            assert_eq!(error, format!("template {name:?} does not exist; known are a, parts/b"));
        }
        assert_eq!(render(&files, "parts/b", &json!({})).unwrap().html.as_deref(), Some("b"));
    }

    #[test]
    fn a_mistake_keeps_the_handler_from_being_built() {
        let error = compile(&[("a.html", "x\n{% if %}")]).err().unwrap();
        assert!(error.starts_with("in mail: syntax error") && error.ends_with("(in a.html:2)"), "{error}");
    }

    #[test]
    fn the_examples_render() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mail");
        let templates = Templates::compile(&MailTemplates::read(&root).unwrap()).unwrap();
        let user = json!({"name": "Ann <3", "email": "ann@example.org"});
        let product = json!({"name": "Example", "url": "https://example.org"});
        for (name, context, subject, wants) in [
            (
                "welcome",
                json!({"product": product, "user": user, "actionUrl": "https://example.org/start"}),
                "Welcome to Example, Ann <3",
                vec!["https://example.org/start"],
            ),
            (
                "password-reset",
                json!({"product": product, "user": user, "resetUrl": "https://example.org/r?a=1&b=2", "validFor": "30 minutes"}),
                "Reset your password for Example",
                vec!["https://example.org/r?a=1", "30 minutes"],
            ),
            (
                "collaboration-invite",
                json!({"product": product, "user": user, "inviter": {"name": "Bo"}, "project": {"name": "Sagas"},
                       "role": "editor", "inviteUrl": "https://example.org/i", "message": "Join us"}),
                "Bo invites you to Sagas",
                vec!["https://example.org/i", "editor", "Join us"],
            ),
            (
                "notification-digest",
                json!({"product": product, "user": user, "period": "this week", "settingsUrl": "https://example.org/s",
                       "items": [{"title": "A comment", "text": "by Bo", "url": "https://example.org/1"},
                                 {"title": "A star", "text": "on Sagas", "url": "https://example.org/2"}]}),
                "2 notifications this week",
                vec!["A comment", "on Sagas", "https://example.org/2", "https://example.org/s"],
            ),
        ] {
            let context = context.as_object().unwrap();
            let rendered = templates.render(name, context).unwrap();
            assert_eq!(rendered.subject.as_deref(), Some(subject));
            let (text, html) = (rendered.text.unwrap(), rendered.html.unwrap());
            // as a browser reads it
            let seen = html.replace("&#x2f;", "/");
            for want in wants {
                assert!(text.contains(want) && seen.contains(want), "{want:?} in\n{text}\n{seen}");
            }
            assert!(text.contains("Ann <3") && html.contains("Ann &lt;3") && !html.contains("Ann <3"), "{html}");
            // the layout
            assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{html}");
            assert!(
                text.contains("\n\n-- \n") && text.starts_with("Hello") && text.is_ascii() && !text.contains("\n\n\n"),
                "{text}"
            );
            let mut short = context.clone();
            short.remove("user");
            assert!(templates.render(name, &short).unwrap_err().contains("`user"), "{name}");
        }
    }
}
