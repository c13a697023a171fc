//! Why the handlers a configuration describes cannot be built. Nothing here concerns a single
//! job: what a handler answers for a job is an [`Outcome`](crate::job::Outcome).

use crate::config::Invalid;

/// The process should refuse its configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("queue {queue:?} names handler {handler:?}, which does not exist; {}", list(.known))]
    Unknown { queue: String, handler: String, known: Vec<String> },
    #[error("handler {0:?} exists twice, in the configuration and as a function; rename one of them")]
    Twice(String),
    #[error("handler {handler:?} is of kind {kind}, which this build leaves out; build with the cargo feature {kind}")]
    LeftOut { handler: String, kind: &'static str },
    #[error("handler {handler:?}: {problem}")]
    Refused { handler: String, problem: Refused },
}

/// What is wrong with one handler's settings.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("url must be http:// or https://, a host and a path, {0}")]
    Url(String),
    #[error(
        "placeholder {{{0}}} stands in the host of the url; write the host out, or list in allow what it may become"
    )]
    Host(String),
    #[error(
        "placeholder {{{0}}} stands in scheme, credentials or port of the url; a job may fill in only host, path and query"
    )]
    Place(String),
    #[error("a placeholder stands in the host of the url, and socket says where to connect; remove one of the two")]
    HostAndSocket,
    #[error("header {0:?} is set for every request by oxherd itself; remove it")]
    OwnHeader(String),
    #[error("header {0:?} has a name or a value HTTP does not allow; use visible ASCII characters")]
    Header(String),
    #[error(transparent)]
    Secret(Invalid),
    #[error("the certificates in {file} cannot be used: {why}; name a PEM file of authorities in ca")]
    Authorities { file: String, why: String },
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
    #[error("{0}")]
    Mail(String),
    #[error("argv is empty; name at least the program")]
    NoProgram,
    #[error("placeholder {0} stands in the program's name; a job may fill in only arguments")]
    Program(String),
    #[error(
        "placeholder {0} is only a part of an argument; make it an argument of its own, so that nothing reads the value as more than a value"
    )]
    Embedded(String),
    #[error("{what} {text:?} holds a NUL byte, which no program can be given; remove it")]
    Nul { what: &'static str, text: String },
    #[error("{key}: {invalid}")]
    Setting { key: &'static str, invalid: Invalid },
    #[error("action warm fetches over HTTP, which this build leaves out; build with the cargo feature http")]
    NoFetch,
    #[error("there is no {what} {name:?} on this machine; create it, or correct {what}")]
    NoAccount { what: &'static str, name: String },
    #[error("{what} {name:?} cannot be looked up: {errno}")]
    Account { what: &'static str, name: String, errno: nix::errno::Errno },
    #[error(
        "programs can run as another user only when oxherd runs as root, and it runs as user {0}; remove user and group"
    )]
    NotRoot(u32),
    #[error("environment name {0:?} cannot be used: expected a name that is not empty and holds no '='")]
    EnvName(String),
}

/// The text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("unknown placeholder {{{0}}}: expected {{queue}}, {{name}}, {{id}}, {{attempt}} or {{data.PATH}}")]
    Unknown(String),
    #[error("a '{{' is never closed in {0:?}: write {{NAME}}, or {{{{ for a brace")]
    Open(String),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none is defined".to_owned() } else { format!("known are {}", names.join(", ")) }
}
