//! Lines for a reader who may be slow, or gone: a thread of its own writes them, and whoever works waits for nobody.
//!
//! A recorder prints what happens, and a pipe that nobody reads is full after a while. What there is no room for is left out, and
//! when the reader goes on he is told how much; a reader who is gone is not missed.
//!
//! Invariants, each with a test of the same name:
//! 1. `whoever_writes_waits_for_no_reader`, and what was left out is counted.
//! 2. `a_reader_who_is_gone_is_not_missed`.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many pieces wait at most: minutes of what a watcher says while it says much.
const WAITING_MAX: usize = 4_096;
/// How long the end waits for a reader who still reads.
const END_PATIENCE: Duration = Duration::from_millis(300);

/// How the line is written that says how many lines are missing.
pub(crate) type Missing = fn(u64) -> String;

/// What the writing thread and those who write to it know of each other.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    is_written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many pieces are on their way.
    waiting: usize,
    /// How many lines had no room since the last piece that had.
    missing: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream whose writer never waits and never fails.
#[derive(Debug)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
    pieces: SyncSender<Vec<u8>>,
    /// A line that has not ended.
    begun: Vec<u8>,
}

impl Queue {
    /// A queue in front of `stream`.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn before(stream: Box<dyn Write + Send>, missing: Missing) -> io::Result<Self> {
        Self::of_length(stream, missing, WAITING_MAX)
    }

    fn of_length(mut stream: Box<dyn Write + Send>, missing: Missing, waiting_max: usize) -> io::Result<Self> {
        let (pieces, waiting) = sync_channel::<Vec<u8>>(waiting_max);
        let shared = Arc::new(Shared::default());
        let known = Arc::clone(&shared);
        std::thread::Builder::new().name("fillbook-output".to_owned()).spawn(move || {
            let mut is_gone = false;
            for piece in waiting {
                let left_out = std::mem::take(&mut known.state().missing);
                if !is_gone {
                    let mut written = Ok(());
                    // They belong behind what waits still; he is told as soon as he reads again.
                    if left_out > 0 {
                        written = writeln!(stream, "{}", missing(left_out));
                    }
                    let written = written.and_then(|()| stream.write_all(&piece)).and_then(|()| stream.flush());
                    is_gone = written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
                }
                known.state().waiting -= 1;
                known.is_written.notify_all();
            }
        })?;
        Ok(Self { shared, pieces, begun: Vec::new() })
    }

    /// Another writer to the same stream: whole lines do not mix.
    pub(crate) fn beside(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), pieces: self.pieces.clone(), begun: Vec::new() }
    }

    /// Waits until all is written, and not for long.
    pub(crate) fn settle(&self) {
        let is_on_its_way = |state: &mut State| state.waiting > 0;
        // A reader who does not read is not waited for.
        let _ = self.shared.is_written.wait_timeout_while(self.shared.state(), END_PATIENCE, is_on_its_way);
    }

    fn send(&self, piece: Vec<u8>) {
        let lines = piece.split(|byte| *byte == b'\n').count().saturating_sub(1);
        let mut state = self.shared.state();
        match self.pieces.try_send(piece) {
            Ok(()) => state.waiting += 1,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                state.missing = state.missing.saturating_add(u64::try_from(lines).unwrap_or(u64::MAX));
            }
        }
    }
}

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        if let Some(last) = self.begun.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.begun.split_off(last + 1);
            let whole = std::mem::replace(&mut self.begun, rest);
            self.send(whole);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.begun.is_empty() {
            let begun = std::mem::take(&mut self.begun);
            self.send(begun);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader who reads a piece whenever he is told to, and leaves when nobody is there to tell him.
    struct Reader {
        goes_on: Receiver<()>,
        read: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.goes_on.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let _ = self.read.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn read(waiting_max: usize) -> (Queue, Sender<()>, Receiver<String>) {
        let ((go_on, goes_on), (read, was_read)) = (channel(), channel());
        let missing: Missing = |count| format!("{count} missing");
        (Queue::of_length(Box::new(Reader { goes_on, read }), missing, waiting_max).unwrap(), go_on, was_read)
    }

    /// Reads until it has read all this.
    fn assert_read(was_read: &Receiver<String>, all: &str) {
        let mut text = String::new();
        while text.len() < all.len() {
            text += &was_read.recv_timeout(Duration::from_mins(1)).unwrap();
        }
        assert_eq!(text, all);
    }

    #[test]
    fn whoever_writes_waits_for_no_reader() {
        let (mut queue, go_on, was_read) = read(2);
        // One is with the reader, or on its way to him; two wait.
        for number in 0..100 {
            writeln!(queue, "line {number}").unwrap();
            if number == 0 {
                // Until the thread has taken it nobody knows how many have room.
                go_on.send(()).unwrap();
                assert_read(&was_read, "line 0\n");
                queue.settle();
            }
        }
        queue.settle();
        // He goes on: what waited, and how many lines had no room. The thread has perhaps taken one that waited in time for a third.
        for _ in 0..100 {
            go_on.send(()).unwrap();
        }
        let mut text = String::new();
        while queue.shared.state().waiting > 0 {
            queue.settle();
        }
        writeln!(queue, "the end").unwrap();
        while !text.ends_with("the end\n") {
            text += &was_read.recv_timeout(Duration::from_mins(1)).unwrap();
        }
        let lines = text.lines().filter(|line| line.starts_with("line ")).count();
        let missing = text.lines().filter_map(|line| line.strip_suffix(" missing")?.parse::<usize>().ok());
        assert_eq!(lines + missing.sum::<usize>(), 99, "{text}");
        assert!((2..=3).contains(&lines), "{text}");
    }

    #[test]
    fn a_reader_who_is_gone_is_not_missed() {
        let (mut queue, go_on, was_read) = read(2);
        drop(go_on);
        for number in 0..10 {
            writeln!(queue, "line {number}").unwrap();
            queue.beside().write_all(b"begun").unwrap();
            queue.settle();
            assert_eq!(queue.shared.state().waiting, 0);
        }
        assert!(was_read.try_recv().is_err());
    }
}
