//! The bot's own files that tell which strategy an order or position came from.

use std::path::{Path, PathBuf};

use ledger_core::printable;
use reconciler::{BadEntry, LabelSources, parse_entry_events, parse_state};

use crate::args::ReconcileArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Output, shown_path};

/// How many unusable entries of a file are named.
const NAMED_MAX: usize = 5;

#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read", path.display())]
struct Unreadable {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Reads what the command line names. What cannot be used of a file is named; the rest of it is used.
///
/// # Errors
/// When a file cannot be read at all: without it labels would be missing, and nobody would know why.
pub(super) fn read(args: &ReconcileArgs, output: &mut Output) -> Result<LabelSources, CommandError> {
    let mut labels = LabelSources::default();
    if let Some(path) = &args.entry_events {
        let read = parse_entry_events(&text(path)?, output.zone.time_zone());
        tell(path, &read.bad, output);
        usable(path, read.events.is_empty(), &read.bad)?;
        labels.events = read.events;
    }
    if let Some(path) = &args.state {
        let read = parse_state(&text(path)?);
        tell(path, &read.bad, output);
        usable(path, read.labels.is_empty(), &read.bad)?;
        labels.states = read.labels;
    }
    Ok(labels)
}

/// A file of which nothing can be used is another file than was meant. One in which nothing stands yet is not.
fn usable(path: &Path, is_empty: bool, bad: &[BadEntry]) -> Result<(), CommandError> {
    if is_empty && !bad.is_empty() {
        return Err(CommandError::new(ExitCode::Error, NothingUsable { path: path.to_owned() })
            .hint("name the file that the bot writes, or leave the option out"));
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("nothing in {} can be used", path.display())]
struct NothingUsable {
    path: PathBuf,
}

fn text(path: &Path) -> Result<String, CommandError> {
    let bytes = std::fs::read(path).map_err(|source| {
        CommandError::new(ExitCode::Error, Unreadable { path: path.to_owned(), source })
            .hint("name the file that the bot writes, or leave the option out")
    })?;
    // A line that was cut off in the middle of a character is one bad line, not a bad file.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tell(path: &Path, bad: &[BadEntry], output: &mut Output) {
    let path = shown_path(path);
    for entry in bad.iter().take(NAMED_MAX) {
        output.complain(&format!("warning: {path}, {}: not used: {}", entry.place, printable(&entry.reason)));
    }
    if bad.len() > NAMED_MAX {
        output.complain(&format!("warning: {path}: {} more are not used", bad.len() - NAMED_MAX));
    }
}
