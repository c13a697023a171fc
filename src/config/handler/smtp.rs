//! Settings of a handler that is a mail server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use crate::config::invalid::Invalid;
use crate::config::url::{decode, encode, shown};
use crate::config::{Breaker, RateLimit, Secret};

/// `[handlers.NAME.smtp]`: the job is a mail, handed to a mail server.
#[derive(Debug, Clone, PartialEq)]
pub struct SmtpHandler {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Whose certificates are trusted instead of the system's.
    pub ca: Option<PemFile>,
    /// What we call ourselves; the host's name when it is not said.
    pub hello: Option<String>,
    /// `Name <address>`.
    pub from: String,
    /// Where bounces go; the address of `from` when it is not said.
    pub envelope_from: Option<String>,
    pub reply_to: Vec<String>,
    /// Addresses, or patterns of some, that a job may send from.
    pub allow_from: Vec<String>,
    /// Everything goes here and to nobody else, for staging.
    pub redirect_all_to: Vec<String>,
    pub templates: Option<MailTemplates>,
    /// Where files lie that a job may attach by their path.
    pub attachments_dir: Option<PathBuf>,
    /// Mails to one recipient domain, of this process.
    pub rate: Option<RateLimit>,
    /// The same for single domains, by name.
    pub domain_rates: BTreeMap<String, RateLimit>,
    /// Of to, cc and bcc together.
    pub max_recipients: usize,
    /// Bytes of one attachment, decoded.
    pub max_attachment: usize,
    /// Bytes of the mail as it is sent.
    pub max_message: usize,
    pub on_partial: OnPartial,
    pub on_ambiguous: OnAmbiguous,
    /// Shortest wait before a temporary refusal is tried again.
    pub greylist: Duration,
    /// Longest wait for a connection that is ready for mails: TCP, TLS, login.
    pub connect_timeout: Duration,
    /// Longest wait for an answer to a command.
    pub timeout: Duration,
    /// Longest time for a mail's content and the answer to it.
    pub data_timeout: Duration,
    /// Connections at one time.
    pub connections: usize,
    /// A connection unused for this long is closed.
    pub idle: Duration,
    /// When the server is left alone; `None`: never.
    pub breaker: Option<Breaker>,
}

/// How a connection is kept from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte on: `smtps://`.
    Implicit,
    /// After STARTTLS, without which nothing is sent.
    StartTls,
    /// Not at all, and so without login.
    Off,
}

/// When a job whose mail some recipients' servers refused for good is a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPartial {
    /// When all refused.
    Complete,
    /// When one refused.
    Fail,
}

/// What becomes of a job whose mail may or may not have been accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// Sent again, under the same Message-ID.
    Retry,
    Fail,
}

/// A file of certificates, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFile {
    pub path: PathBuf,
    pub pem: Vec<u8>,
}

/// A directory of templates, read: what is on the disk later does not matter before a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailTemplates {
    pub directory: PathBuf,
    /// Text by path below the directory, such as `welcome.html` or `parts/footer.txt`.
    pub files: BTreeMap<String, String>,
}

impl SmtpHandler {
    /// A handler with every default. `url` is `smtp://` or `smtps://`, `[USER[:PASSWORD]@]HOST[:PORT]`; user and password
    /// are percent-decoded. The port is 465 for `smtps`, else 587.
    pub fn new(url: &str, from: impl Into<String>) -> Result<Self, Invalid> {
        let shown = shown(url);
        let refuse = |message: String, help: &str| Err(Invalid::new(message, help));
        let Some((scheme, rest)) = url.split_once("://") else {
            return refuse(format!("{shown} is not a URL"), "write smtps://HOST or smtp://HOST");
        };
        let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "smtps" => (MailTls::Implicit, 465),
            "smtp" => (MailTls::StartTls, 587),
            _ => return refuse(format!("url must be smtp or smtps, got {scheme:?}"), "write smtps://HOST"),
        };
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return refuse(format!("{shown} has something behind the host"), "write smtps://HOST:PORT alone");
        }
        let (host, given) = match rest.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, port))) => (host, port.strip_prefix(':')),
            Some(None) => return refuse(format!("no ']' behind the address in {shown}"), "write smtps://[::1]:465"),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse(format!("{shown} names no host"), "write smtps://HOST");
        }
        let port = match given.map(str::parse) {
            None => port,
            Some(Ok(port)) if port > 0 => port,
            _ => {
                return refuse(
                    format!("the port in {shown} is not a number from 1 to 65535"),
                    "write smtps://HOST:465",
                );
            }
        };
        let (username, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => match (decode(user), decode(password)) {
                (Some(user), Some(password)) => {
                    (Some(user).filter(|user| !user.is_empty()), Some(password).filter(|text| !text.is_empty()))
                }
                _ => return refuse(format!("user or password in {shown} holds a broken %-escape"), "write %25 for %"),
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
            username,
            password: password.map(Secret::new),
            ca: None,
            hello: None,
            from: from.into(),
            envelope_from: None,
            reply_to: Vec::new(),
            allow_from: Vec::new(),
            redirect_all_to: Vec::new(),
            templates: None,
            attachments_dir: None,
            rate: None,
            domain_rates: BTreeMap::new(),
            max_recipients: 50,
            max_attachment: 10 * 1024 * 1024,
            max_message: 25 * 1024 * 1024,
            on_partial: OnPartial::Complete,
            on_ambiguous: OnAmbiguous::Retry,
            greylist: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            data_timeout: Duration::from_secs(120),
            connections: 5,
            idle: Duration::from_secs(30),
            breaker: Some(Breaker::default()),
        })
    }

    /// The server as a URL, its user but not its password.
    #[must_use]
    pub fn shown_url(&self) -> String {
        let scheme = if self.tls == MailTls::Implicit { "smtps" } else { "smtp" };
        let user = self.username.as_deref().map(|user| format!("{}@", encode(user))).unwrap_or_default();
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{user}{host}:{}", self.port)
    }
}

/// Longest template read, in bytes.
const LONGEST_TEMPLATE: u64 = 1024 * 1024;
/// Most templates read.
const MOST_TEMPLATES: usize = 2000;

impl MailTemplates {
    /// Reads every `.txt` and `.html` below a directory. Names that begin with a dot are left out.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut below = vec![(directory.to_owned(), String::new())];
        while let Some((directory, prefix)) = below.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let (path, key) = (entry.path(), format!("{prefix}{name}"));
                let meta = fs::metadata(&path)?;
                if name.starts_with('.') {
                    continue;
                }
                // a link to a directory could lead round in a ring
                if meta.is_dir() && !entry.file_type()?.is_symlink() {
                    below.push((path, format!("{key}/")));
                } else if meta.is_file() && is_template(&path) {
                    let refuse = |why: &str| Err(io::Error::other(format!("{}: {why}", path.display())));
                    if meta.len() > LONGEST_TEMPLATE {
                        return refuse(&format!("longer than {LONGEST_TEMPLATE} bytes"));
                    }
                    let Ok(text) = String::from_utf8(fs::read(&path)?) else { return refuse("not UTF-8") };
                    files.insert(key, text);
                }
            }
            if files.len() > MOST_TEMPLATES {
                return Err(io::Error::other(format!("more than {MOST_TEMPLATES} templates")));
            }
        }
        Ok(Self { directory: directory.to_owned(), files })
    }
}

fn is_template(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "txt" || extension == "html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let of = |url: &str| SmtpHandler::new(url, "a@example.org").unwrap();
        let handler = of("smtps://me%40x:p%3Aw@mail.example.org");
        assert_eq!((handler.host.as_str(), handler.port, handler.tls), ("mail.example.org", 465, MailTls::Implicit));
        assert_eq!(handler.username.as_deref(), Some("me@x"));
        assert_eq!(handler.password.as_ref().unwrap().reveal(), "p:w");
        assert_eq!(handler.shown_url(), "smtps://me%40x@mail.example.org:465");
        let handler = of("smtp://[::1]:2525/");
        assert_eq!((handler.host.as_str(), handler.port, handler.tls), ("::1", 2525, MailTls::StartTls));
        assert_eq!((of("smtp://h").port, of("smtp://h").username), (587, None));
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for (url, message) in [
            ("mail.example.org", "\"mail.example.org\" is not a URL"),
            ("http://h", "url must be smtp or smtps, got \"http\""),
            ("smtp://", "\"smtp://\" names no host"),
            ("smtp://u:pw@h/x", "\"smtp://u:***@h/x\" has something behind the host"),
            ("smtp://h:0", "the port in \"smtp://h:0\" is not a number from 1 to 65535"),
            ("smtp://[::1", "no ']' behind the address in \"smtp://[::1\""),
            ("smtp://u:%zz@h", "user or password in \"smtp://u:***@h\" holds a broken %-escape"),
        ] {
            assert_eq!(SmtpHandler::new(url, "a@b").unwrap_err().message, message);
        }
    }

    #[test]
    fn templates_are_read_below_their_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("welcome.txt", b"hello");
        file("parts/footer.html", b"<p>");
        file(".hidden.txt", b"no");
        file("notes.md", b"no");
        let templates = MailTemplates::read(directory.path()).unwrap();
        let names: Vec<&str> = templates.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["parts/footer.html", "welcome.txt"]);
        file("latin.txt", b"\xe4");
        assert!(MailTemplates::read(directory.path()).unwrap_err().to_string().ends_with("latin.txt: not UTF-8"));
        assert!(MailTemplates::read(&directory.path().join("none")).is_err());
    }
}
