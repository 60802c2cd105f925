//! Stands between a command and its exchange, and tells when a chosen request was answered.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// Passes requests on. After the answer to the chosen one has been passed back, it says so.
pub(crate) struct Proxy {
    pub(crate) base_url: String,
    count: Arc<AtomicUsize>,
    chosen: Arc<AtomicUsize>,
    reached: Receiver<()>,
}

impl Proxy {
    pub(crate) fn before(base_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let upstream = base_url.strip_prefix("http://").unwrap().to_owned();
        let (count, chosen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let (say, reached) = channel();
        let say = Arc::new(Mutex::new(say));
        let shared = (count.clone(), chosen.clone());
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (count, chosen) = shared.clone();
                let (upstream, say) = (upstream.clone(), say.clone());
                // Either side may go away at any moment: that is what this is for.
                std::thread::spawn(move || pass(client, &upstream, &count, &chosen, &say).is_ok());
            }
        });
        Self { base_url: own, count, chosen, reached }
    }

    /// How many requests have been passed on since the last call.
    pub(crate) fn take_count(&self) -> usize {
        self.count.swap(0, Ordering::SeqCst)
    }

    /// Chooses the `nth` request from now on, from 1.
    pub(crate) fn choose(&self, nth: usize) {
        self.take_count();
        self.chosen.store(nth, Ordering::SeqCst);
    }

    /// Waits until the chosen request is answered; `false` when whoever asks went away before.
    pub(crate) fn wait(&self) -> bool {
        self.reached.recv().is_ok()
    }
}

fn pass(
    mut client: TcpStream,
    upstream: &str,
    count: &AtomicUsize,
    chosen: &AtomicUsize,
    say: &Mutex<Sender<()>>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    loop {
        let request = message(&mut client)?;
        server.write_all(&request)?;
        let answer = message(&mut server)?;
        client.write_all(&answer)?;
        if count.fetch_add(1, Ordering::SeqCst) + 1 == chosen.load(Ordering::SeqCst) {
            say.lock().unwrap().send(()).unwrap();
        }
    }
}

/// An HTTP/1.1 message: its head, and as much body as the head says.
fn message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    let mut byte = [0];
    while !message.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        message.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    message.extend(body);
    Ok(message)
}
