//! Stands between a command and its exchange, and repeats in its answers what it was sent.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a parrot knows of a request that it may answer in the exchange's place.
pub(crate) struct Asked {
    /// The path, without the query.
    pub(crate) path: String,
    /// All of the head: the query with its signature, the headers with the key.
    pub(crate) head: String,
    /// The signature, as it was sent.
    pub(crate) signature: String,
}

/// Makes an answer (head and body) of what was asked and what the exchange answered.
pub(crate) type Habit = dyn Fn(&Asked, &str) -> Option<String> + Send + Sync;

/// Passes requests on; answers to signed ones are whatever its habit makes of them.
pub(crate) struct Parrot {
    pub(crate) base_url: String,
    signatures: Arc<Mutex<BTreeSet<String>>>,
}

impl Parrot {
    pub(crate) fn before(base_url: &str, habit: Arc<Habit>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let upstream = base_url.strip_prefix("http://").unwrap().to_owned();
        let signatures = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = signatures.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (upstream, seen, habit) = (upstream.clone(), seen.clone(), habit.clone());
                // Whoever asks may go away at any moment.
                std::thread::spawn(move || answer(client, &upstream, &seen, &*habit).is_ok());
            }
        });
        Self { base_url: own, signatures }
    }

    /// Every signature that it was sent.
    pub(crate) fn signatures(&self) -> BTreeSet<String> {
        self.signatures.lock().unwrap().clone()
    }
}

fn answer(mut client: TcpStream, upstream: &str, seen: &Mutex<BTreeSet<String>>, habit: &Habit) -> std::io::Result<()> {
    let head = read_head(&mut client)?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let signature = query.split_once("signature=").map(|(_, rest)| rest.split('&').next().unwrap_or_default());
    // A connection of its own for each, so that none is in the middle of another's answer.
    let mut server = TcpStream::connect(upstream)?;
    let closing = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(closing.as_bytes())?;
    let mut said = Vec::new();
    server.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let (_, body) = said.split_once("\r\n\r\n").unwrap_or_default();
    if let Some(signature) = signature {
        seen.lock().unwrap().insert(signature.to_owned());
        let asked = Asked { path: path.to_owned(), head: head.clone(), signature: signature.to_owned() };
        if let Some(answer) = habit(&asked, body) {
            return client.write_all(answer.as_bytes());
        }
    }
    client.write_all(response("200 OK", "application/json", body).as_bytes())
}

/// A whole answer, after which the connection ends.
pub(crate) fn response(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn read_head(from: &mut TcpStream) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
