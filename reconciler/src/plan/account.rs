//! What concerns the account as a whole: its mode, the clock, the ledger, contracts, balances, the exchange's word on
//! positions and prices.

use std::collections::BTreeSet;

use exchange_client::{Answer, MarkPrice, Stated};
use ledger_core::{AnyFact, Decimal, PositionModeSnapshot, PositionSide, PositionSnapshot, Source, Statement, Symbol};

use super::Plan;
use super::balances::plan_balances;
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::observe::entry::EntryDifference;
use crate::observe::{Observation, observed_at};
use crate::policy::Policy;
use crate::wording::lasting;

pub(super) fn plan_position_mode(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    let Asked::Answered(mode) = observation.position_mode else { return plan };
    let account = &observation.book.account;
    let observed = account.observed_mode.as_ref().map(|observed| observed.mode);
    if observed == Some(mode) {
        return plan;
    }
    plan.position_mode = Some(PositionModeSnapshot { at: observation.asked_at, mode });
    if let Some(known) = account.mode().filter(|known| *known != mode) {
        let evidence = format!("the account is in {mode} mode at the exchange, the book has {known} mode");
        let kind = DiscrepancyKind::PositionModeChanged;
        plan.account_findings.push(Finding::new(kind, None, Subject::Account, Outlook::Settles, evidence));
    }
    plan
}

pub(super) fn plan_clock(observation: &Observation, policy: &Policy) -> Plan {
    let mut plan = Plan::default();
    let reading = observation.clock;
    // Only what the time that the question took cannot explain.
    if reading.skew_ms.saturating_abs().saturating_sub(reading.uncertainty_ms) <= policy.skew_ms_max {
        return plan;
    }
    let way = if reading.skew_ms > 0 { "ahead of" } else { "behind" };
    let evidence = format!(
        "the local clock is {} {way} the exchange's; signals are matched with that in mind, but set the clock",
        lasting(reading.skew_ms.saturating_abs())
    );
    let (kind, subject) = (DiscrepancyKind::ClockSkew, Subject::Account);
    let finding = Finding::new(kind, None, subject, Outlook::Stays, evidence);
    plan.account_findings.push(finding.doubted(Claim::Holds, &observation.looks(observed_at(observation))));
    plan
}

/// `planned` is what is planned for the symbols: it decides which of the exchange's words on positions are recorded.
pub(super) fn plan_account(observation: &Observation, policy: &Policy, planned: &Plan) -> Plan {
    let mut plan = Plan::default();
    if let Asked::Answered(walk) = &observation.income {
        let new = walk.rows.iter().filter(|row| !observation.book.known_income.contains(&row.entity.key));
        plan.account_statements.extend(new.map(Stated::statement));
        plan.income_new = plan.account_statements.len();
    }
    if let Asked::Answered(answer) = &observation.instruments {
        let wanted = answer.rows.iter().filter(|row| {
            let symbol = &row.entity.symbol;
            let book = &observation.book;
            let is_named = observation.symbols.contains_key(symbol) || book.unfolded.contains(symbol);
            is_named && observation.is_in_scope(symbol) && !book.instruments.contains(symbol)
        });
        plan.instruments.extend(wanted.map(Stated::statement));
    }
    plan.add(plan_balances(observation));
    plan_position_words(observation, policy, planned, &mut plan);
    plan
}

/// The exchange's word on positions, where it is news, and the mark prices of what is held.
fn plan_position_words(observation: &Observation, policy: &Policy, planned: &Plan, plan: &mut Plan) {
    let mut stated = BTreeSet::new();
    // A position that came and went unseen is in no answer: the fills that are about to be recorded name it.
    let mut keys = observation.position_keys();
    let statements = planned.symbols.values().flat_map(|symbol| &symbol.statements);
    keys.extend(statements.filter_map(|statement| match &statement.fact {
        AnyFact::Fill(fill) => Some((fill.key.symbol.clone(), fill.position_side?)),
        _ => None,
    }));
    for (symbol, side) in keys {
        let Some(answer) = observation.exchange_positions(&symbol) else { continue };
        let mut known = observation.book.latest_positions.iter().map(|known| &known.fact);
        let known = known.rfind(|known| known.symbol == symbol && known.position_side == side);
        // The exchange's word counts as of when it was given: a book that has moved on since, or moves on now, is compared
        // with what the exchange says today, even if that is what it said before. While they differ and neither moves, its
        // word is repeated now and then.
        let differs = observation.exchange_qty(&symbol, side) != Some(observation.book.qty(&symbol, side));
        let is_outdated = known.is_none_or(|known| {
            let age_ms = answer.asked_at.as_ms().saturating_sub(known.at.as_ms());
            has_moved_on(observation, planned, known) || (differs && age_ms >= policy.position_stride_ms)
        });
        if is_doubtful(observation, planned, (&symbol, side)) {
            continue;
        }
        let mut rows = answer.rows.iter();
        match rows.find(|row| row.entity.symbol == symbol && row.entity.position_side == side) {
            Some(row) => {
                stated.insert(symbol.clone());
                let says = |snapshot: &PositionSnapshot| (snapshot.qty, snapshot.entry_price);
                if is_outdated || known.map(says) != Some(says(&row.entity)) {
                    plan.account_statements.push(row.statement());
                }
            }
            // Not listed by an answer that succeeded: flat, as of then. It has no payload: what it follows from is that
            // no row of the answer speaks of it.
            None if !is_absent_twice(observation, &symbol, side) => {}
            None if is_outdated || known.is_none_or(|known| !known.qty.is_zero()) => {
                let flat = PositionSnapshot {
                    symbol,
                    position_side: side,
                    at: answer.asked_at,
                    qty: Decimal::ZERO,
                    entry_price: None,
                };
                plan.account_statements.push(Statement {
                    fact: AnyFact::Position(flat),
                    source: Source::Rest,
                    payload: None,
                });
            }
            None => {}
        }
    }
    if let Asked::Answered(answer) = &observation.mark_prices {
        let held = answer.rows.iter().filter(|row| stated.contains(&row.entity.price.symbol));
        // Prices move all the time: by themselves they are worth writing down only now and then.
        let is_news = planned.records_facts() || plan.records_facts();
        let moved = |row: &&Stated<MarkPrice>| {
            let marks = observation.book.positions.iter().filter_map(|held| held.mark.as_ref());
            let known = marks.filter(|mark| mark.symbol == row.entity.price.symbol).max_by_key(|mark| mark.at);
            known.is_none_or(|known| {
                let age_ms = row.entity.price.at.as_ms().saturating_sub(known.at.as_ms());
                known.price != row.entity.price.price && (is_news || age_ms >= policy.price_stride_ms)
            })
        };
        plan.account_statements.extend(held.filter(moved).map(Stated::statement));
    }
}

/// Whether neither the list of all positions nor the closer look has a position. One list alone may lack it, and a book that
/// is behind agrees with that.
fn is_absent_twice(observation: &Observation, symbol: &Symbol, side: PositionSide) -> bool {
    let lacks = |answer: &Answer<PositionSnapshot>| {
        let mut rows = answer.rows.iter().map(|row| &row.entity);
        answer.speaks_of(symbol)
            && rows.all(|row| row.symbol != *symbol || row.position_side != side || row.qty.is_zero())
    };
    let close = observation.symbols.get(symbol).and_then(|close| close.positions.answer());
    observation.positions.answer().is_some_and(lacks) && close.is_some_and(lacks)
}

/// Whether what the exchange says of a position differs from the book, rests on this answer alone, and waits for a second
/// look to say the same.
fn is_doubtful(observation: &Observation, planned: &Plan, (symbol, side): (&Symbol, PositionSide)) -> bool {
    let mut found = planned.symbols.get(symbol).into_iter().flat_map(|symbol| &symbol.findings);
    if found.any(|finding| finding.doubts_position(symbol, side)) {
        return true;
    }
    // An average entry that differs is told by the checks. What is about to be recorded may explain it.
    let has_new_fills =
        planned.statements_of(symbol).iter().any(|statement| matches!(statement.fact, AnyFact::Fill(_)));
    let price = observation.exchange_position(symbol, side).flatten().and_then(|stated| stated.entry_price);
    let differs = price.and_then(|price| {
        EntryDifference::between(observation.venue, price, observation.book.position(symbol, side))?.known()
    });
    let Some(differs) = differs.filter(|_| !has_new_fills) else { return false };
    let subject = Subject::Position(symbol.clone(), side);
    let looks = observation.looks(observed_at(observation));
    !looks.agree(DiscrepancyKind::AverageEntryMismatch, &subject, Claim::EntryDiffers(Some(differs)))
}

/// Whether the book's side of a position has changed since the exchange's word on record, or is about to.
fn has_moved_on(observation: &Observation, planned: &Plan, known: &PositionSnapshot) -> bool {
    let held = observation.book.position(&known.symbol, known.position_side);
    let statements = planned.statements_of(&known.symbol);
    held.is_some_and(|held| held.position.updated_at.is_some_and(|updated| updated > known.at))
        || statements.iter().any(|statement| matches!(statement.fact, AnyFact::Fill(_)))
}
