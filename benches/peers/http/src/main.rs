//! An endpoint that answers every request at once, and a client that only posts. One thread each.
//!
//!     peer-http receive
//!     peer-http post --url URL --requests N --width N --payload BYTES
//!
//! `receive` prints `ready`, then its address; `post` prints `ready`, waits for a line, works and prints one line of
//! JSON. Both end with their stdin.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Stdin};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let mode = words.next().expect("a mode: receive or post");
    let mut values = HashMap::new();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        values.insert(key.trim_start_matches("--").to_owned(), value);
    }
    let stdin = BufReader::new(tokio::io::stdin());
    let work = async {
        match mode.as_str() {
            "receive" => receive(stdin).await,
            "post" => post(&values, stdin).await,
            other => panic!("unknown mode {other}"),
        }
    };
    LocalSet::new().run_until(work).await;
}

async fn line(stdin: &mut BufReader<Stdin>) {
    stdin.read_line(&mut String::new()).await.expect("stdin is text");
}

async fn receive(mut stdin: BufReader<Stdin>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on the loopback interface");
    println!("ready\n{}", listener.local_addr().expect("it is bound"));
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(serve(stream));
        }
    });
    line(&mut stdin).await;
}

/// Reads as much of HTTP as it takes to find the end of a request with a `content-length`.
async fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(count) if count > 0 => filled += count,
            _ => return,
        }
        let mut used = 0;
        while let Some(length) = request(&buffer[used..filled]) {
            used += length;
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
}

/// Length of the whole request at the beginning, if it is all there.
fn request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    let all = head + text.lines().find_map(field).unwrap_or(0);
    (bytes.len() >= all).then_some(all)
}

async fn post(values: &HashMap<String, String>, mut stdin: BufReader<Stdin>) {
    let number = |key: &str| values[key].parse::<usize>().unwrap_or_else(|_| panic!("--{key} is no number"));
    let (requests, width) = (number("requests"), number("width"));
    let body = format!(r#"{{"pad":"{}"}}"#, "x".repeat(number("payload")));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client without TLS");
    println!("ready");
    line(&mut stdin).await;
    let start = Instant::now();
    let left = Rc::new(Cell::new(requests));
    let posting: Vec<_> = (0..width)
        .map(|_| {
            let (left, client, url, body) = (Rc::clone(&left), client.clone(), values["url"].clone(), body.clone());
            tokio::task::spawn_local(async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    let request = client.post(&url).header("content-type", "application/json").body(body.clone());
                    let answer = request.send().await.expect("the endpoint is there");
                    let _ = answer.bytes().await.expect("the endpoint answers");
                }
            })
        })
        .collect();
    for task in posting {
        task.await.expect("no task panics");
    }
    println!("{{\"requests\":{requests},\"seconds\":{}}}", start.elapsed().as_secs_f64());
    line(&mut stdin).await;
}
