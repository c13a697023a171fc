//! One conversation with the mail server: from the first byte to a login, and one transaction per mail. Each recipient is
//! asked for on its own, so that each has its own answer.

use std::error::Error as _;
use std::iter;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::letter::Letter;
use crate::config::{MailTls, SmtpHandler};
use crate::handler::wire::snippet;

/// Where mails are handed in.
pub(super) struct Server {
    /// `host:port`, for messages.
    pub(super) name: String,
    host: String,
    port: u16,
    tls: Option<TlsParameters>,
    starts_tls: bool,
    hello: ClientId,
    login: Option<Credentials>,
    connect_timeout: Duration,
    timeout: Duration,
    data_timeout: Duration,
}

/// What the server said of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted(String),
    /// For good.
    Refused(String),
    /// For now; nothing was sent.
    Later(String),
    /// The mail was sent, and no answer came.
    Unknown(String),
}

/// Why there was no transaction at all.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A kept connection turned out to be closed; nothing was said on it.
    Stale,
    /// The server cannot be used, by any mail.
    Server {
        why: String,
        /// It said so itself, with a temporary code.
        is_temporary: bool,
    },
}

impl Server {
    pub(super) fn new(config: &SmtpHandler) -> Result<Self, String> {
        let tls = match config.tls {
            MailTls::Off => None,
            MailTls::Implicit | MailTls::StartTls => Some(tls(config)?),
        };
        let login = match (&config.username, &config.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.reveal().to_owned())),
            _ => None,
        };
        if tls.is_none() && login.is_some() {
            return Err("a login is never sent without TLS; remove tls = \"off\", or user and password".into());
        }
        let host = if config.host.contains(':') { format!("[{}]", config.host) } else { config.host.clone() };
        Ok(Self {
            name: format!("{host}:{}", config.port),
            host: config.host.clone(),
            port: config.port,
            tls,
            starts_tls: config.tls == MailTls::StartTls,
            hello: config.hello.clone().map_or_else(ClientId::default, ClientId::Domain),
            login,
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            data_timeout: config.data_timeout,
        })
    }

    /// Greets the server as for a mail, without the login, and takes leave; what it is called. Nothing is handed in.
    #[cfg(feature = "daemon")]
    pub(super) async fn greet(mut self) -> Result<String, String> {
        self.login = None;
        let within = self.connect_timeout;
        let greeting = async {
            let mut smtp = self.open().await.map_err(|trouble| match trouble {
                Trouble::Server { why, .. } => why,
                Trouble::Stale => format!("{} closes the connection", self.name),
            })?;
            let is_there = smtp.test_connected().await;
            let _ = smtp.command(Quit).await;
            if is_there { Ok(()) } else { Err(format!("{} does not answer NOOP", self.name)) }
        };
        timeout(within, greeting)
            .await
            .unwrap_or_else(|_| Err(format!("{} is not ready for mails within {within:?}", self.name)))
            .map(|()| self.name.clone())
    }

    /// A connection that is ready for a mail. Cancel safe: dropped, it is closed.
    pub(super) async fn connect(&self) -> Result<Connection, Trouble> {
        let within = self.connect_timeout;
        let why = match timeout(within, self.open()).await {
            Ok(Ok(smtp)) => {
                return Ok(Connection {
                    smtp,
                    is_used: false,
                    is_usable: true,
                    timeout: self.timeout,
                    data: self.data_timeout,
                });
            }
            Ok(Err(trouble)) => return Err(trouble),
            Err(_) => format!("{} is not ready for mails within {within:?}", self.name),
        };
        Err(Trouble::Server { why, is_temporary: false })
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, Trouble> {
        let failed = |what: &str| {
            let name = &self.name;
            let what = what.to_owned();
            move |error: Error| Trouble::Server {
                is_temporary: error.is_transient(),
                why: format!("{what} {name}: {}", describe(&error)),
            }
        };
        let cannot = failed("cannot connect to");
        let mut smtp = match (&self.tls, self.starts_tls) {
            (Some(tls), true) => {
                let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| {
                    Trouble::Server { why: format!("cannot connect to {}: {error}", self.name), is_temporary: false }
                })?;
                let stream = Box::new(Wary { stream, is_plain: true });
                let mut smtp =
                    AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(cannot)?;
                if !smtp.can_starttls() {
                    return Err(Trouble::Server {
                        why: format!("{} does not offer STARTTLS, and nothing is sent without TLS", self.name),
                        is_temporary: false,
                    });
                }
                smtp.starttls(tls.clone(), &self.hello).await.map_err(failed("no TLS with"))?;
                smtp
            }
            (tls, _) => {
                let address = (self.host.as_str(), self.port);
                AsyncSmtpConnection::connect_tokio1(address, Some(self.connect_timeout), &self.hello, tls.clone(), None)
                    .await
                    .map_err(cannot)?
            }
        };
        if let Some(login) = &self.login {
            smtp.auth(DEFAULT_MECHANISMS, login).await.map_err(failed("no login at"))?;
        }
        Ok(smtp)
    }
}

fn tls(config: &SmtpHandler) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca {
        let cannot = |error: Error| format!("cannot use {} as ca: {}", file.path.display(), describe(&error));
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(&file.pem).map_err(cannot)?);
    }
    builder.build_rustls().map_err(|error| format!("TLS cannot be set up: {}", describe(&error)))
}

/// An open connection to the server, logged in.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    /// It has carried a mail before.
    pub(super) is_used: bool,
    /// Another mail may follow.
    pub(super) is_usable: bool,
    timeout: Duration,
    data: Duration,
}

impl Connection {
    /// Hands a letter to the server, for those recipients it takes it for; answers in the order of the recipients. `sent`
    /// becomes true just before the mail's last line goes out: until then a server must not deliver it, from then on it
    /// may. Nothing is waited for beyond `end`.
    ///
    /// Not cancel safe: dropped before `sent`, nothing is delivered.
    pub(super) async fn deliver(
        &mut self,
        letter: &Letter,
        sent: &AtomicBool,
        end: Instant,
    ) -> Result<Vec<Answer>, Trouble> {
        let is_used = std::mem::replace(&mut self.is_used, true);
        let all = |answer: Answer| Ok(letter.recipients.iter().map(|_| answer.clone()).collect());
        let mut parameters = Vec::new();
        if letter.is_utf8 {
            if !self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                return all(Answer::Refused("the server does not take addresses beyond ASCII (SMTPUTF8)".into()));
            }
            parameters = vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)];
        }
        match self.say(Mail::new(Some(letter.sender.clone()), parameters), end).await {
            Ok(_) => {}
            Err(Failed { code: None | Some(421), .. }) if is_used => return Err(Trouble::Stale),
            // nothing that has to do with this mail: it wants a login that we do not have, or does not answer
            Err(Failed { code: None | Some(530 | 535), why }) => {
                return Err(Trouble::Server { why: format!("no mail is taken: {why}"), is_temporary: false });
            }
            Err(failed) => return all(failed.answer()),
        }
        let mut answers: Vec<Answer> = Vec::new();
        let mut accepted = 0;
        for recipient in &letter.recipients {
            match self.say(Rcpt::new(recipient.clone(), Vec::new()), end).await {
                Ok(response) => {
                    accepted += 1;
                    answers.push(Answer::Accepted(text(&response)));
                }
                Err(failed) => answers.push(failed.answer()),
            }
            if !self.is_usable {
                // without a connection nobody gets it
                let why = answers.last().map_or("", Answer::text).to_owned();
                answers
                    .iter_mut()
                    .filter(|answer| answer.is_accepted())
                    .for_each(|answer| *answer = Answer::Later(why.clone()));
                answers.resize(letter.recipients.len(), Answer::Later(why));
                return Ok(answers);
            }
        }
        if accepted == 0 {
            let _ = self.say(Rset, end).await;
            return Ok(answers);
        }
        let said = match self.say(Data, end).await {
            Ok(response) if response.has_code(354) => self.content(letter, sent, end).await,
            Ok(response) => {
                self.is_usable = false;
                Answer::Later(format!("not the answer to DATA: {}", text(&response)))
            }
            Err(failed) => {
                // the sender and recipients said before are not part of the next mail
                if self.is_usable {
                    let _ = self.say(Rset, end).await;
                }
                failed.answer()
            }
        };
        answers.iter_mut().filter(|answer| answer.is_accepted()).for_each(|answer| *answer = said.clone());
        Ok(answers)
    }

    /// The mail itself, and the one answer to it.
    async fn content(&mut self, letter: &Letter, sent: &AtomicBool, end: Instant) -> Answer {
        let mut rest = letter.content.chunks(64 * 1024);
        let chunks = iter::from_fn(|| {
            let chunk = rest.next();
            if chunk.is_none() {
                sent.store(true, Ordering::SeqCst);
            }
            chunk
        });
        let end = end.min(Instant::now() + self.data);
        let failed = match timeout_at(end, self.smtp.message_iter(chunks)).await {
            Ok(Ok(response)) => return Answer::Accepted(text(&response)),
            Ok(Err(error)) => Failed::of(&error),
            Err(_) => Failed { code: None, why: "no answer to the mail in time".into() },
        };
        self.is_usable &= !failed.is_end();
        match (failed.code, sent.load(Ordering::SeqCst)) {
            (None, true) => Answer::Unknown(failed.why),
            _ => failed.answer(),
        }
    }

    /// One command and its answer.
    async fn say(&mut self, command: impl std::fmt::Display, end: Instant) -> Result<Response, Failed> {
        let within = end.min(Instant::now() + self.timeout);
        let failed = match timeout_at(within, self.smtp.command(command)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => Failed::of(&error),
            Err(_) => Failed { code: None, why: "no answer in time".into() },
        };
        self.is_usable &= !failed.is_end();
        Err(failed)
    }

    /// Takes leave. Nobody minds if that fails.
    pub(super) async fn quit(mut self) {
        let _ = timeout(Duration::from_secs(1), self.smtp.command(Quit)).await;
    }
}

/// A command that was not answered with yes.
struct Failed {
    /// Of the answer, if there was one.
    code: Option<u16>,
    why: String,
}

impl Failed {
    fn of(error: &Error) -> Self {
        match error.status() {
            Some(code) => Self { code: Some(code.into()), why: describe(error) },
            None => Self { code: None, why: format!("the connection was lost: {}", describe(error)) },
        }
    }

    /// Whether the connection is of no more use: lost, or about to be closed.
    fn is_end(&self) -> bool {
        self.code.is_none_or(|code| code == 421)
    }

    fn answer(self) -> Answer {
        match self.code {
            Some(500..) => Answer::Refused(self.why),
            _ => Answer::Later(self.why),
        }
    }
}

impl Answer {
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// What the server said, or what came in place of that.
    pub(super) fn text(&self) -> &str {
        let (Self::Accepted(text) | Self::Refused(text) | Self::Later(text) | Self::Unknown(text)) = self;
        text
    }
}

/// An answer as one line.
fn text(response: &Response) -> String {
    let words: Vec<&str> = response.message().collect();
    snippet(format!("{} {}", response.code(), words.join(" ")).as_bytes(), LONGEST_ANSWER)
}

/// Characters kept of what a server says.
const LONGEST_ANSWER: usize = 300;

/// The server's own words where there are some, else the innermost cause.
fn describe(error: &Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    let said = match error.status() {
        Some(code) => format!("{code} {}", causes.first().map_or("", String::as_str)),
        None => causes.last().cloned().unwrap_or_else(|| error.to_string()),
    };
    snippet(said.as_bytes(), LONGEST_ANSWER)
}

/// A connection that is to become TLS by STARTTLS. Until then it gives away single bytes, so that nobody holds more than
/// the answer just asked for: what somebody on the way has put behind the answer to STARTTLS meets TLS, and breaks it,
/// instead of being taken for words of the server.
#[derive(Debug)]
struct Wary {
    stream: TcpStream,
    is_plain: bool,
}

/// First byte of a TLS handshake; no SMTP command begins with it.
const HANDSHAKE: u8 = 0x16;

impl AsyncTokioStream for Wary {
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Wary {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !self.is_plain || buf.remaining() == 0 {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut one);
        buf.put_slice(one.filled());
        read
    }
}

impl AsyncWrite for Wary {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.is_plain &= buf.first() != Some(&HANDSHAKE);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
