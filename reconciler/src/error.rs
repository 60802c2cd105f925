//! Why a cycle could not run at all. What is wrong with a single symbol is a finding, not an error.

use exchange_client::ExchangeError;
use ledger_core::{AccountId, MathError};
use ledger_store::StoreError;
use thiserror::Error;

/// Why the book could not be compared with the exchange.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The account is not in the book.
    #[error("the book has no account `{account}`; create it first")]
    UnknownAccount {
        /// The account.
        account: AccountId,
    },
    /// The exchange answers as another account than the one the book is bound to.
    #[error(
        "account `{account}` is bound to {bound}, but the exchange answers as {offered}; nothing was written. Use the \
         credentials of the bound account, or another book account"
    )]
    WrongAccount {
        /// The account.
        account: AccountId,
        /// What the book says.
        bound: String,
        /// What the exchange says.
        offered: String,
    },
    /// Another account of the book is that account at the exchange.
    #[error(
        "account `{account}` cannot be bound to {offered}: account `{other}` of this book is bound to it already, and every \
         report of both together would count it twice"
    )]
    BoundElsewhere {
        /// The account.
        account: AccountId,
        /// Whose it is.
        other: AccountId,
        /// Who answers.
        offered: String,
    },
    /// The exchange names another account with every answer.
    #[error("the exchange answers as one account and then as another ({said}); nothing was written. Ask again later")]
    Contradiction {
        /// Who it said that it answers for, one after the other.
        said: String,
    },
    /// The exchange names another time with every answer, and none is the local clock's.
    #[error(
        "the exchange names a different time with every answer ({said}), and the local clock says none of them; nothing was \
             written. Ask again later, or set the clock"
    )]
    ClockContradiction {
        /// What time it said that it is, one answer after the other.
        said: String,
    },
    /// Somebody stopped it before its end. What was recorded stays; the next cycle goes on.
    #[error("the comparison was stopped before its end; what was recorded stays")]
    Stopped,
    /// The exchange did not say who and how the account is.
    #[error("the exchange could not be asked about the account")]
    Exchange(#[source] ExchangeError),
    /// The book could not be read or written. What was committed before stays.
    #[error("the book failed while {doing}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// The book's complaint.
        #[source]
        source: StoreError,
    },
    /// A cursor of the book is no time.
    #[error(
        "the book's cursor of {stream} is `{position}`, which is no time in ms, so nothing tells how far it was read; \
         restore the book from a backup, or import its facts into a new one"
    )]
    Cursor {
        /// Of which stream.
        stream: String,
        /// What the book has.
        position: String,
    },
    /// A sum of the book does not fit.
    #[error("a sum over the book cannot be held exactly")]
    Math(#[source] MathError),
}

/// Says what was being done when the book failed.
pub(crate) trait Doing<T> {
    /// Names the step.
    fn doing(self, doing: &'static str) -> Result<T, ReconcileError>;
}

impl<T> Doing<T> for Result<T, StoreError> {
    fn doing(self, doing: &'static str) -> Result<T, ReconcileError> {
        self.map_err(|source| ReconcileError::Store { doing, source })
    }
}

impl From<MathError> for ReconcileError {
    fn from(error: MathError) -> Self {
        Self::Math(error)
    }
}
