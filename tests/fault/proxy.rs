//! Between the daemon and Redis: understands the protocol, so that a fault can strike at one reply
//! of one command, on the binary as it is.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::redis::Redis;

/// A command and what Redis answered to it.
pub struct Exchange<'a> {
    command: &'a [Vec<u8>],
    reply: &'a [u8],
}

/// What becomes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Forward,
    /// The connection is reset instead.
    Cut,
    /// Neither it nor anything after it comes through; the connection stays open.
    Hold,
    /// It comes a byte at a time, one a second.
    Trickle,
}

type Rule = Box<dyn FnMut(&Exchange) -> Act + Send>;

pub struct Proxy {
    pub url: String,
    state: Arc<State>,
}

struct State {
    redis: PathBuf,
    rule: Mutex<Rule>,
    /// Replies that did not come through as they were.
    strikes: AtomicUsize,
    links: AtomicUsize,
    /// Links with a lower number carry nothing any more and stay open.
    silent_below: AtomicUsize,
    /// Milliseconds each reply is late.
    delay: AtomicUsize,
    closed: AtomicBool,
}

impl Proxy {
    pub fn start(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            redis: redis.socket(),
            rule: Mutex::new(Box::new(|_| Act::Forward)),
            strikes: AtomicUsize::new(0),
            links: AtomicUsize::new(0),
            silent_below: AtomicUsize::new(0),
            delay: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.closed.load(Ordering::Acquire) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || link(&state, &client));
            }
        });
        Self { url, state }
    }

    /// From now on this decides about each reply.
    pub fn rule(&self, rule: impl FnMut(&Exchange) -> Act + Send + 'static) {
        *self.state.rule.lock().unwrap() = Box::new(rule);
    }

    /// The next reply that fits gets this.
    pub fn once(&self, act: Act, fits: impl Fn(&Exchange) -> bool + Send + 'static) {
        let mut done = false;
        self.rule(move |exchange| {
            if done || !fits(exchange) {
                return Act::Forward;
            }
            done = true;
            act
        });
    }

    /// How often a reply did not come through as it was.
    pub fn strikes(&self) -> usize {
        self.state.strikes.load(Ordering::Acquire)
    }

    /// The links there are go silent; new ones work.
    pub fn silence_links(&self) -> usize {
        let links = self.state.links.load(Ordering::Acquire);
        self.state.silent_below.store(links, Ordering::Release);
        links
    }

    /// Nothing comes through, on links old or new.
    pub fn silence(&self) {
        self.state.silent_below.store(usize::MAX, Ordering::Release);
    }

    /// New links work again.
    pub fn heal(&self) {
        self.state.silent_below.store(self.state.links.load(Ordering::Acquire), Ordering::Release);
    }

    /// Each reply comes so much later.
    pub fn delay(&self, delay: Duration) {
        self.state.delay.store(delay.as_millis().try_into().unwrap(), Ordering::Release);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Release);
        // wakes the listener up to see it
        let _ = TcpStream::connect(self.url.trim_start_matches("redis://"));
    }
}

impl Exchange<'_> {
    /// A call of a script that was carried out.
    fn is_script(&self) -> bool {
        self.word(0).to_ascii_uppercase().starts_with("EVAL") && self.reply[0] != b'-'
    }

    /// A call of the script that only takes jobs.
    pub fn is_take(&self) -> bool {
        // EVALSHA, hash, number of keys, key, and its 13 arguments
        self.is_script() && self.command.len() == 17 && self.word(8) != "0"
    }

    /// A call of the script that records outcomes.
    pub fn is_finish(&self) -> bool {
        let kinds = ["c", "f", "r", "d", "w", "h", "p", "u", "l"];
        self.is_script() && self.command.len() > 20 && kinds.contains(&self.word(18).as_str())
    }

    /// An outcome of this kind is in it: "c" completed, "d" delayed.
    pub fn has_outcome(&self, kind: &str) -> bool {
        self.is_finish() && self.word(18) == kind
    }

    /// The reply carries a job of this name.
    pub fn brings(&self, name: &str) -> bool {
        let name = format!("\r\n{name}\r\n");
        self.reply.windows(name.len()).any(|window| window == name.as_bytes())
    }

    fn word(&self, at: usize) -> String {
        self.command.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default()
    }
}

/// One connection of the daemon, until either side closes it.
fn link(state: &Arc<State>, client: &TcpStream) {
    let number = state.links.fetch_add(1, Ordering::AcqRel);
    let Ok(server) = UnixStream::connect(&state.redis) else { return };
    client.set_nodelay(true).unwrap();
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let (back, to_client, from_server) = (Arc::clone(state), client.try_clone().unwrap(), server.try_clone().unwrap());
    let waiting = Arc::clone(&asked);
    let replies = std::thread::spawn(move || answer(&back, number, from_server, &to_client, &waiting));
    let mut reader = BufReader::new(client);
    let mut to_server = &server;
    while let Some((raw, words)) = value(&mut reader) {
        if number < state.silent_below.load(Ordering::Acquire) {
            continue;
        }
        asked.lock().unwrap().push_back(words);
        if to_server.write_all(&raw).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = replies.join();
}

fn answer(
    state: &State,
    number: usize,
    server: UnixStream,
    mut client: &TcpStream,
    asked: &Mutex<VecDeque<Vec<Vec<u8>>>>,
) {
    let mut reader = BufReader::new(server);
    let mut held = false;
    while let Some((reply, _)) = value(&mut reader) {
        let command = if reply[0] == b'>' { None } else { asked.lock().unwrap().pop_front() };
        let delay = state.delay.load(Ordering::Acquire);
        if delay > 0 {
            std::thread::sleep(Duration::from_millis(delay.try_into().unwrap()));
        }
        if held || number < state.silent_below.load(Ordering::Acquire) {
            continue;
        }
        let exchange = Exchange { command: &command.unwrap_or_default(), reply: &reply };
        let act = (state.rule.lock().unwrap())(&exchange);
        match act {
            Act::Forward => {
                if client.write_all(&reply).is_err() {
                    break;
                }
            }
            Act::Cut => {
                state.strikes.fetch_add(1, Ordering::AcqRel);
                // a reset, as of a machine that knows nothing of the connection
                let _ = socket2::SockRef::from(client).set_linger(Some(Duration::ZERO));
                let _ = client.shutdown(Shutdown::Read);
                return;
            }
            Act::Hold => {
                state.strikes.fetch_add(1, Ordering::AcqRel);
                held = true;
            }
            Act::Trickle => {
                state.strikes.fetch_add(1, Ordering::AcqRel);
                for byte in &reply {
                    if client.write_all(std::slice::from_ref(byte)).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// The next value on the wire: its bytes, and the texts in it. `None` at the end of the connection.
fn value(reader: &mut impl BufRead) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let (mut raw, mut words) = (Vec::new(), Vec::new());
    read_value(reader, &mut raw, &mut words)?;
    Some((raw, words))
}

fn read_value(reader: &mut impl BufRead, raw: &mut Vec<u8>, words: &mut Vec<Vec<u8>>) -> Option<()> {
    let start = raw.len();
    if reader.read_until(b'\n', raw).ok()? == 0 {
        return None;
    }
    let kind = *raw.get(start)?;
    let text = std::str::from_utf8(raw.get(start + 1..)?).ok()?.trim_end().to_owned();
    match kind {
        b'$' | b'=' | b'!' if text != "-1" => {
            let length: usize = text.parse().ok()?;
            let mut bytes = vec![0; length + 2];
            reader.read_exact(&mut bytes).ok()?;
            raw.extend(&bytes);
            bytes.truncate(length);
            words.push(bytes);
        }
        b'*' | b'~' | b'>' | b'%' if text != "-1" => {
            let count: usize = text.parse().ok()?;
            for _ in 0..if kind == b'%' { 2 * count } else { count } {
                read_value(reader, raw, words)?;
            }
        }
        _ => {}
    }
    Some(())
}
