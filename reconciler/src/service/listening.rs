//! Hearing a stream, beside everything else: whoever stops asking it for events loses its connection.

use std::sync::Arc;
use std::time::Duration;

use exchange_client::{ExchangeError, StreamEvent, UserStreams};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// How many events wait to be recorded before the stream is not asked for more.
const QUEUE_MAX: usize = 4_096;
/// How long is waited where the exchange gives no access to a stream.
const NO_ACCESS_FIRST: Duration = Duration::from_secs(5);
/// How long at most.
const NO_ACCESS_MAX: Duration = Duration::from_mins(5);

/// What was heard, and when.
pub(super) enum Heard {
    /// An event.
    Event(Box<StreamEvent>, Instant),
    /// The exchange gives no access to a stream; that is asked for again.
    NoAccess(ExchangeError),
}

/// A stream that is being heard. Dropping it says nothing more to the exchange.
pub(super) struct Listening {
    heard: mpsc::Receiver<Heard>,
    anew: watch::Sender<u64>,
    hurry: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    /// Begins.
    pub(super) fn begin(streams: Arc<dyn UserStreams>) -> Self {
        let (tell, heard) = mpsc::channel(QUEUE_MAX);
        let (anew, asked) = watch::channel(0);
        let hurry = Arc::new(Notify::new());
        let task = tokio::spawn(listen(streams, tell, asked, Arc::clone(&hurry)));
        Self { heard, anew, hurry, task }
    }

    /// Waits for events, and takes what waits already, up to `max` of them. None ever come again where this answers 0.
    pub(super) async fn take(&mut self, into: &mut Vec<Heard>, max: usize) -> usize {
        self.heard.recv_many(into, max).await
    }

    /// Ends the connection and makes another one, with another key if the exchange has one.
    pub(super) fn connect_anew(&self) {
        self.anew.send_modify(|count| *count += 1);
    }

    /// The exchange answers again: whoever waits because it gave no access asks again now.
    pub(super) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// Says goodbye, and answers what had come.
    pub(super) fn end(mut self, into: &mut Vec<Heard>) {
        self.task.abort();
        while let Ok(heard) = self.heard.try_recv() {
            into.push(heard);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(
    streams: Arc<dyn UserStreams>,
    tell: mpsc::Sender<Heard>,
    mut anew: watch::Receiver<u64>,
    hurry: Arc<Notify>,
) {
    let mut wait = NO_ACCESS_FIRST;
    loop {
        let mut stream = match streams.open_user_stream().await {
            Ok(stream) => stream,
            Err(error) => {
                if tell.send(Heard::NoAccess(error)).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(NO_ACCESS_MAX),
                    () = hurry.notified() => wait = NO_ACCESS_FIRST,
                }
                continue;
            }
        };
        loop {
            let event = tokio::select! {
                biased;
                event = stream.next() => event,
                changed = anew.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // The next event is that it stands again, with the gap.
                    stream.close().await;
                    continue;
                }
            };
            if tell.send(Heard::Event(Box::new(event), Instant::now())).await.is_err() {
                return;
            }
        }
    }
}
