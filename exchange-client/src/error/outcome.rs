//! The three outcomes of what is sent.
//!
//! Invariants, each with a test of the same name:
//! 1. `only_a_plain_refusal_is_a_rejection`: an order whose fate the answer does not tell is unknown, never rejected.

use super::ExchangeError;

/// What became of something that was sent to the exchange. Unknown is resolved by asking, never assumed.
#[derive(Debug)]
#[must_use]
pub enum SendOutcome<T> {
    /// The exchange did it.
    Done(T),
    /// The exchange surely did not do it.
    Rejected(ExchangeError),
    /// It may or may not have done it.
    Unknown(ExchangeError),
}

impl<T> SendOutcome<T> {
    /// Sorts a result by what it says about the outcome.
    pub fn from_result(result: Result<T, ExchangeError>) -> Self {
        match result {
            Ok(answer) => Self::Done(answer),
            Err(error) if error.may_have_taken_effect() => Self::Unknown(error),
            Err(error) => Self::Rejected(error),
        }
    }

    /// The same outcome, with another answer.
    pub fn map<U>(self, answer: impl FnOnce(T) -> U) -> SendOutcome<U> {
        match self {
            Self::Done(done) => SendOutcome::Done(answer(done)),
            Self::Rejected(error) => SendOutcome::Rejected(error),
            Self::Unknown(error) => SendOutcome::Unknown(error),
        }
    }

    /// The answer, if it was done.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(answer) => Some(answer),
            Self::Rejected(_) | Self::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::{Symbol, TimestampMs};

    use super::*;
    use crate::error::{Endpoint, FieldProblem};
    use crate::foreign::ForeignError;
    use crate::transport::{Method, TransportError};

    fn endpoint() -> Endpoint {
        Endpoint::new(Method::Post, "/fapi/v1/order", Some(&Symbol::new("BTCUSDT").unwrap()))
    }

    fn outcome(error: ExchangeError) -> &'static str {
        match SendOutcome::<()>::from_result(Err(error)) {
            SendOutcome::Done(()) => "done",
            SendOutcome::Rejected(_) => "rejected",
            SendOutcome::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn only_a_plain_refusal_is_a_rejection() {
        let http = |status| ExchangeError::Http { endpoint: endpoint(), status, body_start: "".into() };
        let broken = || serde_json::from_str::<()>("{").unwrap_err();
        for (error, expected) in [
            (
                ExchangeError::Unreachable { endpoint: endpoint(), source: TransportError::NotSent("x".into()) },
                "rejected",
            ),
            (ExchangeError::AnswerLost { endpoint: endpoint(), source: TransportError::Lost("x".into()) }, "unknown"),
            (ExchangeError::Refused { endpoint: endpoint(), status: 400, code: -2019, message: "".into() }, "rejected"),
            (ExchangeError::Throttled { endpoint: endpoint(), until: TimestampMs::MIN }, "rejected"),
            (ExchangeError::Banned { endpoint: endpoint(), until: TimestampMs::MIN }, "rejected"),
            (ExchangeError::Overloaded { endpoint: endpoint(), status: 503, message: "".into() }, "rejected"),
            (ExchangeError::Redirected { endpoint: endpoint(), status: 307, location: "".into() }, "unknown"),
            (ExchangeError::OutcomeUnknown { endpoint: endpoint(), status: 503, message: "".into() }, "unknown"),
            (
                ExchangeError::Unreadable {
                    endpoint: endpoint(),
                    content_type: "".into(),
                    body_start: "".into(),
                    source: ForeignError::new(&broken()),
                },
                "unknown",
            ),
            (
                ExchangeError::Malformed {
                    endpoint: endpoint(),
                    row: 0,
                    field: "orderId",
                    problem: Box::new(FieldProblem::Missing),
                },
                "unknown",
            ),
            (ExchangeError::OrdersUsedUp { endpoint: endpoint(), until: TimestampMs::MIN }, "rejected"),
            (
                ExchangeError::Forbidden {
                    endpoint: endpoint(),
                    status: 403,
                    until: TimestampMs::MIN,
                    body_start: "".into(),
                },
                "rejected",
            ),
            (http(404), "rejected"),
            (http(408), "unknown"),
            (http(500), "unknown"),
            (http(302), "unknown"),
        ] {
            let shown = error.to_string();
            assert_eq!(outcome(error), expected, "{shown}");
        }
    }
}
