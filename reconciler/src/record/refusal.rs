//! Why a line is not recorded.

use std::error::Error;

use exchange_client::files::{RowError, RowProblem};
use ledger_core::printable;
use serde_json::{Value, json};

/// What is wrong with a line, and what to do about it. Nothing of the line is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field at fault; absent where it is the line as a whole.
    pub field: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

/// How much of a value is repeated in a message.
const SHOWN_MAX: usize = 60;

/// A value of the line as a message repeats it: shortened, with everything escaped that could disturb a terminal.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    let more = if text.chars().nth(SHOWN_MAX).is_some() { "…" } else { "" };
    format!("`{}{more}`", printable(&cut))
}

impl Refusal {
    pub(super) fn line(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { field: None, problem: problem.into(), advice: advice.into() }
    }

    pub(super) fn field(field: &str, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), problem: problem.into(), advice: advice.into() }
    }

    /// Of an object of the library that stands in `field`.
    pub(super) fn object(field: &str, error: &RowError) -> Self {
        let place = error.column.as_ref().map_or_else(|| field.to_owned(), |column| format!("{field}.{column}"));
        let causes = std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string);
        let problem: Vec<_> = std::iter::once(error.to_string()).chain(causes).collect();
        // Nothing stands in front of a line, so the object itself has to say it.
        let advice = match error.problem {
            RowProblem::UnitUnknown { .. } => {
                "put `contractSize` into the object, as the library's market has it (1 where the venue counts coins), or hand it \
                 over with the exchange's own answer in `info`"
            }
            _ => "hand over the object as the library returned it, with its `info`",
        };
        Self { field: Some(place), problem: printable(&problem.join(": ")).into_owned(), advice: advice.to_owned() }
    }

    /// The same as the answer to a line has it.
    pub(super) fn to_json(&self) -> Value {
        json!({ "field": self.field, "problem": self.problem, "advice": self.advice })
    }
}
