//! Balances: which are recorded, and which wait.

use ledger_core::{BalanceSnapshot, Income};

use super::checks::{income, usdt};
use super::deciding::remembering;
use super::*;

fn balance(ms: i64, wallet: &str) -> BalanceSnapshot {
    BalanceSnapshot { asset: usdt(), at: at(ms), wallet: wallet.parse().unwrap() }
}

/// The wallet was 10 ten minutes ago and is this now, with these ledger rows of the book and of the answer.
fn stated_as(wallet: &str, booked: Vec<Income>, answered: Vec<Income>) -> Observation {
    let mut seen = quiet();
    seen.balances = Asked::Answered(answer(vec![balance(0, wallet)]));
    seen.book.latest_balances = vec![Sourced::new(balance(-600_000, "10"), Source::Rest)];
    seen.book.ledger_since = [(usdt(), booked)].into();
    seen.income = Asked::Answered(walk(answered));
    seen
}

fn recorded(plan: &Plan) -> Vec<String> {
    let statements = plan.account_statements.iter();
    statements
        .filter_map(|statement| match &statement.fact {
            AnyFact::Balance(balance) => Some(balance.wallet.to_string()),
            _ => None,
        })
        .collect()
}

fn doubted(plan: &Plan) -> Option<Outlook> {
    let mut found = plan.account_findings.iter();
    found.find(|finding| finding.kind == DiscrepancyKind::UnexplainedBalance).map(|finding| finding.outlook)
}

#[test]
fn a_balance_that_the_ledger_explains_is_recorded_at_once() {
    let row = |id, amount: &str| income("TRANSFER", id, amount);
    let early = || Income { time: EventTime::ms(at(-600_001)), ..row(9, "100") };
    for (wallet, booked, answered, is_recorded) in [
        ("15", vec![], vec![row(1, "5")], true),
        ("15", vec![row(1, "5")], vec![], true),
        // The book has what the exchange lists once more.
        ("15", vec![row(1, "5")], vec![row(1, "5")], true),
        ("15", vec![row(1, "2")], vec![row(2, "3")], true),
        ("15", vec![], vec![row(1, "5"), early()], true),
        ("15", vec![], vec![], false),
        ("15", vec![row(1, "5")], vec![row(2, "5")], false),
        ("8", vec![], vec![row(1, "2")], false),
    ] {
        let decided = plan(&stated_as(wallet, booked.clone(), answered.clone()));
        assert_eq!(!recorded(&decided).is_empty(), is_recorded, "{wallet} {booked:?} {answered:?}");
        assert_eq!(doubted(&decided), (!is_recorded).then_some(Outlook::Waits));
    }
    // One that has not moved is no news.
    let unmoved = plan(&stated_as("10", vec![], vec![]));
    assert!(recorded(&unmoved).is_empty() && doubted(&unmoved).is_none());
}

/// Whatever comes later is held against it.
#[test]
fn the_first_balance_of_an_asset_takes_two_answers() {
    let first = |wallet: &str, again: Option<&str>| {
        let mut seen = stated_as(wallet, vec![], vec![]);
        seen.book.latest_balances.clear();
        if let Some(again) = again {
            seen.balances_again = Asked::Answered(answer(vec![balance(1, again)]));
        }
        seen
    };
    for (again, is_recorded) in [(Some("15"), true), (Some("14"), false), (None, false)] {
        let decided = plan(&first("15", again));
        assert_eq!(!recorded(&decided).is_empty(), is_recorded, "{again:?}");
        assert_eq!(doubted(&decided), (!is_recorded).then_some(Outlook::Waits));
    }
    // A second look counts as much, and so does a second answer of it that says something new.
    for (wallet, again, is_recorded) in [("15", None, true), ("14", Some("14"), true), ("14", None, false)] {
        let mut seen = first(wallet, again);
        remembering(&mut seen, &plan(&first("15", Some("14"))));
        seen.asked_at = at(VENUE.settle_lag_ms);
        assert_eq!(!recorded(&plan(&seen)).is_empty(), is_recorded, "{wallet} {again:?}");
    }
}

#[test]
fn a_balance_that_nothing_explains_waits_for_a_second_look() {
    let row = |amount: &str| income("TRANSFER", 1, amount);
    let lag_ms = VENUE.settle_lag_ms;
    for (after_ms, wallet, answered, is_recorded) in [
        (lag_ms, "15", vec![], true),
        (lag_ms - 1, "15", vec![], false),
        // Another amount is unexplained.
        (lag_ms, "16", vec![], false),
        // The wallet moved on, and the same amount is unexplained.
        (lag_ms, "16", vec![row("1")], true),
        (lag_ms, "15", vec![row("1")], false),
    ] {
        let first = plan(&stated_as("15", vec![], vec![]));
        let mut seen = stated_as(wallet, vec![], answered.clone());
        remembering(&mut seen, &first);
        seen.asked_at = at(after_ms);
        let second = plan(&seen);
        let expected: Vec<String> = is_recorded.then(|| wallet.to_owned()).into_iter().collect();
        assert_eq!(recorded(&second), expected, "{after_ms} {wallet} {answered:?}");
        assert_eq!(doubted(&second), Some(if is_recorded { Outlook::Verify } else { Outlook::Waits }));
    }
}
