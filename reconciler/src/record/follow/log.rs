//! The log of entries, which a bot appends to, cuts or puts aside.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use ledger_store::{Batch, SyncCursor};

use super::{note, remark};
use crate::error::{Doing, ReconcileError};
use crate::label::parse_entry_events;
use crate::record::answer::Trouble;
use crate::record::event_recorder::EventRecorder;
use crate::record::order_id::digest;

/// How much of the log is read and recorded at once. A line that is longer is no entry.
const CHUNK: u64 = 1 << 20;
/// How many bytes before the place that was read are remembered, to notice that they are others now.
const TAIL_LEN: u64 = 64;
const DIGEST_LEN: usize = 16;

/// Up to where a log was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    offset: u64,
    /// How many lines end before it.
    lines: u64,
    /// Of the bytes before it.
    tail: String,
}

impl Place {
    fn beginning() -> Self {
        Self { offset: 0, lines: 0, tail: digest(&[""], DIGEST_LEN) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let place = Self {
            offset: parts.next()?.parse().ok()?,
            lines: parts.next()?.parse().ok()?,
            tail: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(place)
    }

    fn to_text(&self) -> String {
        format!("{} {} {}", self.offset, self.lines, self.tail)
    }
}

/// A log of entries that is followed.
#[derive(Debug)]
pub(super) struct EntryLog {
    path: PathBuf,
    zone: TimeZone,
    /// The file that is read; it may have another name by now.
    file: Option<File>,
    place: Option<Place>,
    was_missing: bool,
}

impl EntryLog {
    pub(super) fn new(path: PathBuf, zone: TimeZone) -> Self {
        Self { path, zone, file: None, place: None, was_missing: false }
    }

    pub(super) async fn look(
        &mut self,
        recorder: &EventRecorder,
        remarks: &mut Vec<String>,
    ) -> Result<(), ReconcileError> {
        // Reading ends with the file, with an error of the system, or where the log was replaced with its new beginning.
        loop {
            if self.file.is_none() && !self.open(remarks) {
                return Ok(());
            }
            let stream = self.stream();
            if self.place.is_none() {
                let cursors = recorder.store.cursors(&recorder.account).await.doing("reading the cursors")?;
                let known = cursors.into_iter().find(|cursor| cursor.stream == stream);
                let known = known.and_then(|cursor| Place::parse(&cursor.position));
                self.place = Some(known.unwrap_or_else(Place::beginning));
            }
            match self.read(recorder, &stream, remarks).await? {
                Step::More => {}
                Step::Done => return Ok(()),
                Step::Failed(error) => {
                    remark(&self.path, &format!("it cannot be read: {error}"), remarks);
                    self.file = None;
                    return Ok(());
                }
            }
        }
    }

    /// Opens the file; one that is not there yet is told once.
    fn open(&mut self, remarks: &mut Vec<String>) -> bool {
        match File::open(&self.path) {
            Ok(file) => {
                (self.file, self.was_missing) = (Some(file), false);
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.was_missing, true) {
                    let text = match error.kind() {
                        ErrorKind::NotFound => "it is not there; it is read once it is".to_owned(),
                        _ => format!("it cannot be read: {error}"),
                    };
                    remark(&self.path, &text, remarks);
                }
                false
            }
        }
    }

    /// The name of the cursor that says how far the log was read.
    fn stream(&self) -> String {
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        format!("entry_events {}", path.display())
    }

    async fn read(
        &mut self,
        recorder: &EventRecorder,
        stream: &str,
        remarks: &mut Vec<String>,
    ) -> Result<Step, ReconcileError> {
        let (Some(file), Some(place)) = (&mut self.file, &self.place) else { return Ok(Step::Done) };
        let bytes = match piece(file, place) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                remark(&self.path, "it was cut or written anew, and is read from its beginning", remarks);
                self.place = Some(Place::beginning());
                return Ok(Step::More);
            }
            Err(error) => return Ok(Step::Failed(error)),
        };
        // Once the log has another file, nothing is added to the last line of this one.
        let was_replaced = bytes.len() as u64 <= CHUNK && is_other(file, &self.path);
        let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if was_replaced || bytes.len() as u64 >= CHUNK => bytes.len(),
            None => 0,
        };
        if end == 0 {
            if !was_replaced {
                return Ok(Step::Done);
            }
            (self.file, self.place) = (None, Some(Place::beginning()));
            // The new one may not be there yet.
            return Ok(if self.path.exists() { Step::More } else { Step::Done });
        }
        let read = bytes.get(..end).unwrap_or_default();
        let next = match advanced(file, place, read) {
            Ok(next) => next,
            Err(error) => return Ok(Step::Failed(error)),
        };
        let (statements, bad) = said(recorder, read, place.lines, &self.zone).await?;
        let mut batch = Batch::new(recorder.account.clone(), recorder.now(), statements);
        batch.cursors.push(SyncCursor { stream: stream.to_owned(), symbol: None, position: next.to_text() });
        recorder.store.commit(batch).await.doing("recording entries of the bot's log")?;
        note(&self.path, bad, remarks);
        self.place = Some(next);
        Ok(Step::More)
    }
}

enum Step {
    More,
    Done,
    Failed(std::io::Error),
}

/// What the lines state, and which say nothing that can be used, with their places.
async fn said(
    recorder: &EventRecorder,
    bytes: &[u8],
    lines_before: u64,
    zone: &TimeZone,
) -> Result<(Vec<ledger_core::Statement>, Vec<(String, String)>), ReconcileError> {
    let (mut statements, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in (lines_before + 1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let text = String::from_utf8_lossy(line);
        let mut read = parse_entry_events(text.trim_end(), zone);
        let mut refused = read.bad.pop().map(|bad| bad.reason);
        if let Some(event) = read.events.pop() {
            let text = text.trim().trim_start_matches('\u{feff}');
            match recorder.entry_statements(&event, text, &Arc::from(text)).await {
                Ok(found) => statements.extend(found),
                Err(Trouble::Refused(refusal, _)) => refused = Some(refusal.problem),
                Err(Trouble::Failed(error)) => return Err(error),
            }
        }
        bad.extend(refused.map(|reason| (format!("line {number}"), reason)));
    }
    Ok((statements, bad))
}

/// The bytes from a place on; `None` where the file is not the one that was read up to there.
fn piece(file: &mut File, place: &Place) -> std::io::Result<Option<Vec<u8>>> {
    if file.metadata()?.len() < place.offset || tail(file, place.offset)? != place.tail {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(place.offset))?;
    let mut bytes = Vec::new();
    file.take(CHUNK).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A digest of the bytes before `offset`.
fn tail(file: &mut File, offset: u64) -> std::io::Result<String> {
    let start = offset.saturating_sub(TAIL_LEN);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(offset - start).read_to_end(&mut bytes)?;
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    Ok(digest(&[&text], DIGEST_LEN))
}

fn advanced(file: &mut File, place: &Place, read: &[u8]) -> std::io::Result<Place> {
    let offset = place.offset + read.len() as u64;
    let lines = place.lines + read.split_inclusive(|byte| *byte == b'\n').count() as u64;
    Ok(Place { offset, lines, tail: tail(file, offset)? })
}

/// Whether another file has taken the name of this one. Where the system gives files no number, only its content tells.
#[cfg(unix)]
fn is_other(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(own), Ok(named)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) != (named.dev(), named.ino())
}

#[cfg(not(unix))]
fn is_other(_file: &File, _path: &Path) -> bool {
    false
}
