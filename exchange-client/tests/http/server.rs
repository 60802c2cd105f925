//! A server that answers with raw bytes, whatever they are, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// Reads the request and writes these bytes.
    Answer(String),
    /// Hangs up without reading anything.
    HangUp,
}

/// Serves one request a connection, then hangs up.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) base_url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// The same answer to everything.
    pub(crate) async fn always(answer: &str) -> Self {
        Self::start(VecDeque::new(), Deed::Answer(answer.to_owned())).await
    }

    /// These deeds in turn; then it hangs up on everybody.
    pub(crate) async fn script(deeds: impl IntoIterator<Item = Deed>) -> Self {
        Self::start(deeds.into_iter().collect(), Deed::HangUp).await
    }

    /// The request lines so far, of requests that were read.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Stops listening: from then on connections are refused.
    pub(crate) async fn stop(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }

    async fn start(mut deeds: VecDeque<Deed>, last: Deed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Deed::Answer(answer) = deeds.pop_front().unwrap_or_else(|| last.clone()) else { continue };
                let request = read_request(&mut stream).await;
                if let Some(line) = request.lines().next() {
                    remembered.lock().unwrap().push(line.to_owned());
                }
                // Whoever has hung up does not want the answer.
                let _sent = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { base_url, asked, task }
    }
}

/// A request, with its body if it says how long that is; empty when the client has hung up.
pub(crate) async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0_u8; 4096];
    while !is_whole(&seen) {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        seen.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn is_whole(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}
