//! Since when, and until when, an account provably held one position a symbol.
//!
//! The exchange answers which mode an account is in now, never which it was in. Between two answers the mode may have
//! changed and changed back, so a stretch of time counts as one-way only if every answer next to it says so and nothing
//! in it belongs to a hedge. The user's word stands in where there is no answer at all.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_stretch_is_one_way_only_between_answers_that_say_so`.
//! 2. `a_hedged_fact_makes_its_stretch_doubtful_and_no_other`.
//! 3. `the_users_word_counts_where_nobody_else_has_spoken`.

use crate::snapshot::PositionModeSnapshot;
use crate::source::PositionMode;
use crate::time::TimestampMs;

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant of it.
    pub since: TimestampMs,
    /// The first instant after it; `None` when it has not ended.
    pub until: Option<TimestampMs>,
}

impl Span {
    /// Whether `at` lies in it.
    pub fn contains(&self, at: TimestampMs) -> bool {
        self.since <= at && self.until.is_none_or(|until| at < until)
    }
}

/// The stretches of time in which the account provably was in one-way mode, in order; none touches the next.
///
/// `answers` are the exchange's, by time; `word` is the user's, for all of history; `is_hedged` tells whether a stretch
/// has a fact that names a position of a hedge.
///
/// # Errors
/// Whatever `is_hedged` fails with.
pub fn one_way_spans<E>(
    answers: &[PositionModeSnapshot],
    word: Option<PositionMode>,
    mut is_hedged: impl FnMut(Span) -> Result<bool, E>,
) -> Result<Vec<Span>, E> {
    let mut spans: Vec<Span> = Vec::new();
    let ends = answers.iter().map(Some).chain([None]);
    let mut before: Option<&PositionModeSnapshot> = None;
    for after in ends {
        let span =
            Span { since: before.map_or(TimestampMs::MIN, |answer| answer.at), until: after.map(|answer| answer.at) };
        let next_to_it = || before.into_iter().chain(after);
        let says_one_way = match (before, after) {
            (None, None) => word == Some(PositionMode::OneWay),
            // Beyond the first and the last answer the user may know better.
            (None, _) | (_, None) if word == Some(PositionMode::Hedge) => false,
            _ => next_to_it().all(|answer| answer.mode == PositionMode::OneWay),
        };
        before = after;
        if !says_one_way || is_hedged(span)? {
            continue;
        }
        match spans.last_mut() {
            Some(last) if last.until == Some(span.since) => last.until = span.until,
            _ => spans.push(span),
        }
    }
    Ok(spans)
}

/// The first instant that belongs to one of two lists of spans and not to the other; `None` when they are the same.
pub fn first_difference(a: &[Span], b: &[Span]) -> Option<TimestampMs> {
    let at = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(at), b.get(at)) {
        (None, None) => None,
        (Some(span), None) | (None, Some(span)) => Some(span.since),
        (Some(a), Some(b)) if a.since != b.since => Some(a.since.min(b.since)),
        (Some(a), Some(b)) => a.until.into_iter().chain(b.until).min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::MIN.saturating_add_ms(ms)
    }

    /// Answers as `1` (one-way) and `2` (hedge) at 10, 20, 30 ...; hedged facts by time; the spans as `since..until`.
    fn spans(answers: &str, word: Option<PositionMode>, hedged: &[i64]) -> String {
        let answers: Vec<_> = answers
            .chars()
            .zip(1..)
            .map(|(mode, index)| PositionModeSnapshot {
                at: at(index * 10),
                mode: if mode == '1' { PositionMode::OneWay } else { PositionMode::Hedge },
            })
            .collect();
        let is_hedged = |span: Span| Ok::<_, ()>(hedged.iter().any(|ms| span.contains(at(*ms))));
        let found = one_way_spans(&answers, word, is_hedged).unwrap();
        let show = |instant: TimestampMs| {
            let ms = instant.as_ms() - at(0).as_ms();
            if ms == 0 { String::new() } else { ms.to_string() }
        };
        let show = found.iter().map(|span| format!("{}..{}", show(span.since), span.until.map_or(String::new(), show)));
        show.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_stretch_is_one_way_only_between_answers_that_say_so() {
        for (answers, expected) in [
            ("", ""),
            ("1", ".."),
            ("2", ""),
            ("11", ".."),
            ("12", "..10"),
            ("21", "20.."),
            ("121", "..10 30.."),
            ("1121", "..20 40.."),
            ("2112", "20..30"),
        ] {
            assert_eq!(spans(answers, None, &[]), expected, "{answers}");
        }
    }

    #[test]
    fn a_hedged_fact_makes_its_stretch_doubtful_and_no_other() {
        assert_eq!(spans("111", None, &[15]), "..10 20..");
        assert_eq!(spans("111", None, &[5]), "10..");
        assert_eq!(spans("111", None, &[35]), "..30");
        assert_eq!(spans("1", None, &[10]), "..10");
    }

    #[test]
    fn the_users_word_counts_where_nobody_else_has_spoken() {
        assert_eq!(spans("", Some(PositionMode::OneWay), &[]), "..");
        assert_eq!(spans("", Some(PositionMode::OneWay), &[7]), "");
        assert_eq!(spans("", Some(PositionMode::Hedge), &[]), "");
        assert_eq!(spans("2", Some(PositionMode::OneWay), &[]), "");
        assert_eq!(spans("11", Some(PositionMode::Hedge), &[]), "10..20");
    }

    #[test]
    fn lists_of_spans_differ_from_their_first_difference_on() {
        let span = |since, until: i64| Span { since: at(since), until: (until > 0).then(|| at(until)) };
        for (a, b, expected) in [
            (vec![], vec![], None),
            (vec![span(1, 5)], vec![span(1, 5)], None),
            (vec![span(1, 5)], vec![], Some(1)),
            (vec![span(1, 5)], vec![span(2, 5)], Some(1)),
            (vec![span(1, 5)], vec![span(1, 0)], Some(5)),
            (vec![span(1, 5), span(7, 9)], vec![span(1, 5), span(7, 8)], Some(8)),
            (vec![span(1, 5), span(7, 9)], vec![span(1, 5)], Some(7)),
        ] {
            assert_eq!(first_difference(&a, &b), expected.map(at), "{a:?} {b:?}");
            assert_eq!(first_difference(&b, &a), expected.map(at), "{a:?} {b:?}");
        }
    }
}
