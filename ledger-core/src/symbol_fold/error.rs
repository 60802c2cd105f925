//! Why a symbol cannot be folded.

use thiserror::Error;

use crate::amount::MathError;
use crate::id::{FillId, Symbol};

/// Why a symbol cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FoldError {
    /// The event belongs to another symbol.
    #[error("an event of {found} was given to the fold of {expected}")]
    WrongSymbol {
        /// The fold's symbol.
        expected: Symbol,
        /// The event's.
        found: Symbol,
    },
    /// The fill does not come after the one before it.
    #[error("fill {fill_id} does not come after the fill before it")]
    OutOfOrder {
        /// The fill.
        fill_id: FillId,
    },
    /// Nothing says which position a fill changes.
    #[error("fill {fill_id} does not say which position it changes")]
    NoPositionSide {
        /// The fill.
        fill_id: FillId,
    },
    /// Some fills of the symbol have a sequence number and some have none, so that nothing tells which came first.
    #[error(
        "fill {fill_id} and the fills before it cannot be put in order, because some have a sequence number and some \
         have none: record the fills of this symbol again from a source that numbers all of them"
    )]
    MixedSequences {
        /// The first fill in fold order that is of the other kind.
        fill_id: FillId,
    },
    /// The numbers do not fit.
    #[error("the numbers of {what} cannot be computed exactly")]
    Math {
        /// Which event.
        what: String,
        /// What went wrong.
        #[source]
        source: MathError,
    },
}
