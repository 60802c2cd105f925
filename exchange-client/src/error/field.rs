//! What can be wrong with a single field.

use ledger_core::{AmountError, IdError, MathError, ParseDecimalError, TimeError, UnknownName};
use thiserror::Error;

/// What is wrong with a field of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldProblem {
    /// It is not there, or `null`, although nothing can be made of the row without it.
    #[error("it is missing")]
    Missing,
    /// It is an object or a list.
    #[error("it is neither text nor a number")]
    NotScalar,
    /// Not a decimal number, or not one that can be held exactly.
    #[error(transparent)]
    Decimal(#[from] ParseDecimalError),
    /// A price or quantity out of range.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// The exact result cannot be held.
    #[error(transparent)]
    Math(#[from] MathError),
    /// Not an identifier.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Not a whole number of 64 bits.
    #[error("it is not a whole number of 64 bits")]
    NotInteger,
    /// Not an instant.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// Not a known name, where only known ones make sense.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// Not a part of a whole: below 0 or above 1.
    #[error("it is not a fraction: a number from 0 to 1")]
    NotAFraction,
    /// Neither `true` nor `false`.
    #[error("it is neither true nor false")]
    NotBoolean,
    /// An id of an exchange that counts, and not a whole number above 0 in plain digits.
    #[error("it is not an id: a whole number above 0, in digits")]
    NotAnId,
    /// Another row of the same answer has the same key, and says something else.
    #[error("another row of the answer has the same, and says something else")]
    Contradicted,
    /// It repeats what must not be known.
    #[error("it repeats a key, secret or signature")]
    Secret,
    /// A row about something that was not asked for.
    #[error("it is not what was asked for")]
    NotAskedFor,
}
