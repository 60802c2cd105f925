//! What concerns the account as a whole: the ledger, contracts, balances, the exchange's word on positions and prices.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::Stated;
use ledger_core::{AnyFact, Decimal, PositionSnapshot, Source, Statement, TimestampMs};

use super::{Plan, coverage, cursor, history_expired};
use crate::observation::{Continuity, Observation};
use crate::observe::{INCOME, ORDERS};

/// Runs last: what is planned for a position's symbol decides whether the exchange's word on it is recorded.
pub(super) fn plan_account(observation: &Observation, plan: &mut Plan) {
    let venue = observation.venue;
    // What happened in the last moments may still be missing from the answers.
    let settled = |asked_at: TimestampMs| asked_at.saturating_add_ms(-venue.settle_lag_ms);
    let mut reach = |stream: &str, since: TimestampMs, until: TimestampMs, continuity: Continuity| {
        plan.account_cursors.extend(continuity.moves_cursor().then(|| cursor(stream, None, until)));
        plan.account_coverage.extend(coverage(stream, None, since, until));
        plan.account_findings.extend(continuity.expired().map(|gap| history_expired(stream, None, gap)));
    };
    // Orders of symbols out of scope are not recorded, so the stream of all symbols is not read that far.
    if let Ok(walk) = &observation.orders
        && observation.scope.is_empty()
    {
        reach(ORDERS, walk.window.since(), settled(walk.asked_at), walk.continuity);
    }
    if let Ok(walk) = &observation.income {
        reach(INCOME, walk.window.since(), settled(walk.asked_at), walk.continuity);
        let new = walk.rows.iter().filter(|row| !observation.book.known_income.contains(&row.entity.key));
        let before = plan.account_statements.len();
        plan.account_statements.extend(new.map(Stated::statement));
        plan.income_new = plan.account_statements.len() - before;
    }
    if let Some(Ok(answer)) = &observation.instruments {
        let wanted = answer.rows.iter().filter(|row| {
            let symbol = &row.entity.symbol;
            let book = &observation.book;
            let is_named = observation.symbols.contains_key(symbol) || book.unfolded.contains(symbol);
            is_named && observation.is_in_scope(symbol) && !book.instruments.contains(symbol)
        });
        plan.instruments.extend(wanted.map(Stated::statement));
    }
    if let Ok(answer) = &observation.balances {
        // Only what says something new is kept: a balance that did not move is on record.
        let latest: BTreeMap<_, _> =
            observation.book.latest_balances.iter().map(|known| (&known.fact.asset, known.fact.wallet)).collect();
        let moved = answer.rows.iter().filter(|row| latest.get(&row.entity.asset) != Some(&row.entity.wallet));
        plan.account_statements.extend(moved.map(Stated::statement));
    }
    let mut stated = BTreeSet::new();
    for (symbol, side) in observation.position_keys() {
        let Some(answer) = observation.exchange_positions(&symbol) else { continue };
        let mut known = observation.book.latest_positions.iter().map(|known| &known.fact);
        let known = known.rfind(|known| known.symbol == symbol && known.position_side == side);
        // The exchange's word counts as of when it was given: a book that has moved on since, moves on now or says
        // otherwise is compared with what the exchange says today, even if that is what it said before.
        let is_outdated = known.is_none_or(|known| has_moved_on(observation, plan, known))
            || observation.exchange_qty(&symbol, side) != Some(observation.book.qty(&symbol, side));
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
    if let Ok(answer) = &observation.mark_prices {
        let held = answer.rows.iter().filter(|row| stated.contains(&row.entity.symbol));
        let on_record = |row: &&Stated<ledger_core::PriceSnapshot>| {
            let mut marks = observation.book.positions.iter().filter_map(|held| held.mark.as_ref());
            !marks.any(|mark| mark.symbol == row.entity.symbol && mark.at == row.entity.at)
        };
        plan.account_statements.extend(held.filter(on_record).map(Stated::statement));
    }
}

/// Whether the book's side of a position has changed since the exchange's word on record, or is about to.
fn has_moved_on(observation: &Observation, plan: &Plan, known: &PositionSnapshot) -> bool {
    let mut held = observation.book.positions.iter().filter(|held| held.symbol == known.symbol);
    let held = held.find(|held| held.position.position_side == known.position_side);
    let statements = plan.symbols.get(&known.symbol).map_or(&[][..], |symbol| symbol.statements.as_slice());
    held.is_some_and(|held| held.position.updated_at.is_some_and(|updated| updated > known.at))
        || statements.iter().any(|statement| matches!(statement.fact, AnyFact::Fill(_)))
}
