//! A look at a whole file before anything of it is recorded: whose it is, whether its numbers can be believed, and how many
//! coins its contracts are.
//!
//! One row that is off by a power of 1000 puts the numbers of all others in doubt, wherever it stands; and whose rows a file
//! has is told by the first that names an account. So files are read twice. What a first reading costs is a tenth of what
//! recording does.

use std::future::poll_fn;
use std::task::Poll;

use exchange_client::files::{ContractSizes, FileError, ImportFile, ImportSource, Kind, Options};

use super::event::ImportEvent;
use super::reading::Reading;
use super::words::story;

/// After how many rows somebody else has a turn: whoever wants to interrupt the import.
pub(super) const TURN: u64 = 10_000;

/// What a first reading told.
pub(super) struct Survey {
    /// The sizes of contracts, wherever in the file they are proven.
    pub(super) contract_sizes: ContractSizes,
    /// Whether fees that were paid stand there below zero.
    pub(super) charges_are_negative: bool,
}

/// Whose rows an import takes.
#[derive(Debug, Clone, Default)]
pub(super) struct Owner {
    /// The exchange account that the caller asked for: rows of others are passed over.
    pub(super) asked: Option<String>,
    /// The one that the book's account is bound to.
    pub(super) bound: Option<String>,
    /// The one of the files before.
    pub(super) seen: Option<String>,
}

impl Owner {
    /// Whose rows are expected.
    pub(super) fn expected(&self) -> Option<&String> {
        self.asked.as_ref().or(self.bound.as_ref()).or(self.seen.as_ref())
    }

    /// Checks whose rows a file has; `found` is what the first of them that names an account says.
    fn check(&self, file: &ImportFile, found: Option<&str>) -> Result<(), FileError> {
        let (None, Some(found)) = (&self.asked, found) else { return Ok(()) };
        let expected = match (&self.bound, &self.seen) {
            (Some(bound), _) if bound != found => format!("this account of the book is bound to `{bound}`"),
            (None, Some(seen)) if seen != found => format!("the files before it are of `{seen}`"),
            _ => return Ok(()),
        };
        Err(FileError::OtherAccount { place: file.place().clone(), found: found.to_owned(), expected })
    }
}

impl Reading<'_> {
    /// Reads a file to its end and records nothing. What is wrong with single rows shows when it is read again.
    ///
    /// # Errors
    /// Why no row of it is to be taken.
    pub(super) async fn survey(&mut self, source: &ImportSource, options: &Options) -> Result<Survey, FileError> {
        let own = Options { uid: self.owner.asked.clone(), ..options.clone() };
        let mut file = source.read(own)?;
        let mut rows = 0_u64;
        while let Some(row) = file.next() {
            rows += 1;
            if rows.is_multiple_of(TURN) {
                (self.events)(ImportEvent::Checking { file: &self.imported.file, rows });
                give_way().await;
            }
            match row {
                Ok(row) => {
                    let Err(error) = row.result else { continue };
                    let element = row.element.map_or_else(String::new, |element| format!(", element {element}"));
                    let reason = || format!("line {}{element}: {}", row.line, story(&error));
                    if error.names_two_owners() {
                        return Err(FileError::TwoOwners { place: file.place().clone(), reason: reason() });
                    }
                    if error.doubts_number_format() {
                        let is_table = !matches!(file.kind(), Kind::Ccxt | Kind::Fillbook);
                        return Err(FileError::NumberFormat {
                            place: file.place().clone(),
                            reason: reason(),
                            is_table,
                        });
                    }
                }
                // Of an archive, the other members are read all the same, but for one that may be another account's.
                Err(error) if error.is_about_the_account() => return Err(error),
                Err(_) => {}
            }
        }
        self.owner.check(&file, file.uid())?;
        let charges_are_negative = file.charges_are_negative();
        Ok(Survey { contract_sizes: file.contract_sizes().clone(), charges_are_negative })
    }
}

/// Lets whoever else waits have a turn.
pub(super) async fn give_way() {
    let mut was_here = false;
    poll_fn(|context| {
        if std::mem::replace(&mut was_here, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
