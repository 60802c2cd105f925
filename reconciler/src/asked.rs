//! A question to the exchange, and what came of it.

use exchange_client::ExchangeError;

/// What the exchange answered to a question, why it did not, or that it was not asked. Only an answer says anything: a
/// question that failed or was not asked is no empty answer.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "`Not` alone would not say what nobody did")]
pub(crate) enum Asked<T> {
    /// Nobody asked: nothing pointed there, or the exchange tells of now only and the look is at the past.
    NotAsked,
    /// It did not answer.
    Failed(ExchangeError),
    /// What it said.
    Answered(T),
}

impl<T> Asked<T> {
    /// What it said, if it did.
    pub(crate) fn answer(&self) -> Option<&T> {
        if let Self::Answered(answer) = self { Some(answer) } else { None }
    }

    /// The same, to be changed.
    pub(crate) fn answer_mut(&mut self) -> Option<&mut T> {
        if let Self::Answered(answer) = self { Some(answer) } else { None }
    }

    /// Why it did not answer, if it was asked and did not.
    pub(crate) fn error(&self) -> Option<&ExchangeError> {
        if let Self::Failed(error) = self { Some(error) } else { None }
    }

    /// Whether it answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.answer().is_some()
    }

    /// The answer, or nothing.
    pub(crate) fn iter(&self) -> std::option::IntoIter<&T> {
        self.answer().into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Asked<T> {
    type Item = &'a T;
    type IntoIter = std::option::IntoIter<&'a T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> From<Result<T, ExchangeError>> for Asked<T> {
    fn from(asked: Result<T, ExchangeError>) -> Self {
        asked.map_or_else(Self::Failed, Self::Answered)
    }
}
