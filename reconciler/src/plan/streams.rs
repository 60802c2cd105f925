//! How far each stream is read once the plan is applied, and what can no longer be read.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_later_beginning_does_not_move_the_cursors`.
//! 2. `a_gap_in_history_closes_when_it_is_covered`.
//! 3. `what_the_list_of_forced_orders_may_have_forgotten_is_not_covered`.
//! 4. `where_an_order_names_an_unseen_fill_nothing_is_confirmed`.
//! 5. `where_a_fill_lacks_its_rows_nothing_of_the_ledger_is_confirmed`, until they are told as missing.

use exchange_client::TimeWindow;
use ledger_core::{Order, Symbol, TimestampMs};
use ledger_store::{CoverageGrade, CoverageSpan, SyncCursor};

use super::Plan;
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::ReconcileError;
use crate::finding::{Finding, Outlook};
use crate::memory::{GapMemory, recall_all};
use crate::observe::walk::Walk;
use crate::observe::{Continuity, HistoryPiece, Observation};
use crate::policy::Policy;
use crate::streams::{CONDITIONAL_ORDERS, FILLS, FORCE_ORDERS, INCOME, ORDERS, complete_up_to, reached};
use crate::wording::instant;

/// What a walk adds to a stream.
#[derive(Clone, Copy)]
struct StreamProgress<'a> {
    stream: &'static str,
    symbol: Option<&'a Symbol>,
    since: TimestampMs,
    /// What happened in the last moments may still be missing from the answers.
    settled: TimestampMs,
    continuity: Continuity,
}

/// Whether anything is `planned` to be written at all decides whether cursors move.
pub(super) fn plan_streams(
    observation: &Observation,
    policy: &Policy,
    now: TimestampMs,
    planned: &Plan,
) -> Result<Plan, ReconcileError> {
    let mut plan = Plan::default();
    let venue = observation.venue;
    let settled = |asked_at: TimestampMs| asked_at.saturating_add_ms(-venue.settle_lag_ms);
    let mut wide = Vec::new();
    // Orders of symbols out of scope are not recorded, and trades of theirs that the ledger names are not asked for: the
    // streams of all symbols are not read that far.
    if observation.scope.is_empty() {
        for (stream, walk) in [(ORDERS, &observation.orders), (FORCE_ORDERS, &observation.force_orders)] {
            // What could not be read is asked for again until it can.
            wide.extend(walk.iter().filter(|walk| walk.unreadable.is_empty()).map(|walk| StreamProgress {
                stream,
                symbol: None,
                // Beyond what the list is known to hold, nothing is claimed.
                since: match stream {
                    FORCE_ORDERS => {
                        walk.window.since().max(walk.asked_at.saturating_add_ms(-venue.force_orders_certain_ms))
                    }
                    _ => walk.window.since(),
                },
                settled: settled(walk.asked_at),
                continuity: walk.continuity,
            }));
        }
        wide.extend(observation.income.iter().map(|walk| StreamProgress {
            stream: INCOME,
            symbol: None,
            since: walk.window.since(),
            settled: settled(walk.asked_at),
            continuity: walk.continuity,
        }));
    }
    for reach in wide {
        // Forced orders are on the list of all orders, too.
        let expired = reach.continuity.expired().filter(|_| reach.stream != FORCE_ORDERS);
        plan.account_findings.extend(expired.map(|gap| history_expired(reach.stream, None, gap)));
        if is_due(observation, policy, &reach, !planned.account_statements.is_empty())? {
            plan.account_cursors.extend(reach.cursor());
            plan.account_coverage.extend(reach.coverage(CoverageGrade::Asked));
            if reach.stream == INCOME {
                plan.account_coverage.extend(inferred_fills(observation, &reach));
            }
        }
    }
    let confirmed = confirmed(observation);
    let gain_ms = observation.read_before.gain_ms(&confirmed);
    let writes_anyway = !planned.account_statements.is_empty() || !plan.account_cursors.is_empty();
    if gain_ms >= policy.cursor_stride_ms || (writes_anyway && gain_ms > 0) {
        plan.account_coverage.extend(confirmed);
    }
    plan_symbol_streams(observation, policy, planned, &mut plan)?;
    plan_expiring(observation, policy, now, &mut plan)?;
    plan.settled.extend(covered_gaps(observation, planned));
    Ok(plan)
}

/// What this look confirms: where what was read before is answered the same. The fills are confirmed with the ledger, which
/// names them.
fn confirmed(observation: &Observation) -> Vec<CoverageSpan> {
    // What is left out of a narrowed look differs by itself.
    if !observation.scope.is_empty() {
        return Vec::new();
    }
    let read_before = &observation.read_before;
    let mut confirmed = Vec::new();
    if let Some(walk) = observation.income.answer() {
        // Where an order names a fill that nobody has seen, the answers lacked its rows alike.
        let mut differing = observation.differing_income();
        differing.extend(observation.demanded_income());
        for (since, until) in observation.unfilled_orders() {
            let (since, until) = (since.max(walk.window.since()), until.min(walk.window.until()));
            differing.extend([since, until].into_iter().filter(|_| since <= until));
        }
        let ledger = read_before.confirmed((INCOME, None), walk.window, &differing);
        if let Some(known_until) = fills_known_until(observation, walk.window.until().saturating_add_ms(1)) {
            let named = ledger.iter().filter(|span| span.since < known_until).cloned();
            let fills = |span: CoverageSpan| CoverageSpan {
                stream: FILLS.to_owned(),
                until: span.until.min(known_until),
                ..span
            };
            confirmed.extend(named.map(fills));
        }
        confirmed.extend(ledger);
    }
    if let Some(walk) = observation.orders.answer().filter(|walk| walk.unreadable.is_empty()) {
        let differing = observation.differing_orders();
        confirmed.extend(read_before.confirmed((ORDERS, None), walk.window, &differing));
    }
    if let Some(walk) = observation.force_orders.answer().filter(|walk| walk.unreadable.is_empty()) {
        let differing = observation.differing_force_orders();
        // Beyond what the list is known to hold, it says nothing.
        let certain = walk.asked_at.saturating_add_ms(-observation.venue.force_orders_certain_ms);
        let window = TimeWindow::up_to(walk.window.until(), walk.window.since().max(certain));
        confirmed.extend(read_before.confirmed((FORCE_ORDERS, None), window, &differing));
    }
    confirmed
}

/// What this look confirms of the conditional orders of a contract.
fn confirmed_conditional_orders(observation: &Observation, symbol: &Symbol, walk: &Walk<Order>) -> Vec<CoverageSpan> {
    if !walk.unreadable.is_empty() {
        return Vec::new();
    }
    let differing = observation.differing_conditional_orders(symbol);
    observation.read_before.confirmed((CONDITIONAL_ORDERS, Some(symbol)), walk.window, &differing)
}

impl StreamProgress<'_> {
    fn cursor(&self) -> Option<SyncCursor> {
        self.continuity.moves_cursor().then(|| SyncCursor {
            stream: self.stream.to_owned(),
            symbol: self.symbol.cloned(),
            position: self.settled.as_ms().to_string(),
        })
    }

    fn coverage(&self, grade: CoverageGrade) -> Option<CoverageSpan> {
        (self.since < self.settled).then(|| CoverageSpan {
            stream: self.stream.to_owned(),
            symbol: self.symbol.cloned(),
            grade,
            since: self.since,
            until: self.settled,
        })
    }
}

/// Whether it is worth writing down how far a stream is read: a cycle that finds nothing writes no fact.
fn is_due(
    observation: &Observation,
    policy: &Policy,
    reach: &StreamProgress<'_>,
    writes_anyway: bool,
) -> Result<bool, ReconcileError> {
    let reached = reached(&observation.book.cursors, reach.stream, reach.symbol)?;
    let lag_ms = reached.map_or(i64::MAX, |reached| reach.settled.as_ms().saturating_sub(reached.as_ms()));
    Ok(lag_ms >= policy.cursor_stride_ms || (writes_anyway && lag_ms != 0) || reach.continuity == Continuity::Apart)
}

/// The ledger names every trade of all symbols: where it was read without a gap and every trade that it names is in the
/// book or planned, the fills of all symbols are complete, without having been asked for.
fn inferred_fills(observation: &Observation, income: &StreamProgress<'_>) -> Option<CoverageSpan> {
    let settled = fills_known_until(observation, income.settled)?;
    StreamProgress { stream: FILLS, symbol: None, settled, ..*income }.coverage(CoverageGrade::Inferred)
}

/// Up to when the book has, or is about to have, every fill that the ledger names. `None` where that cannot be told.
fn fills_known_until(observation: &Observation, settled: TimestampMs) -> Option<TimestampMs> {
    let mut mentioned = observation.stated_orders().map(|row| &row.entity.key.symbol);
    let all_answered = observation.symbols.values().all(|close| close.fills.is_answered())
        && !mentioned
            .any(|symbol| !observation.symbols.contains_key(symbol) && observation.book.has_unanswered(symbol));
    let orders_are_read = observation.orders.answer().is_some_and(|walk| walk.unreadable.is_empty());
    let is_whole = observation.scope.is_empty() && orders_are_read && all_answered;
    // A trade that the ledger or an order names and that is neither in the book nor planned: nothing is claimed beyond it.
    let named = observation.unfilled().map(|row| row.time.at);
    let named = named.chain(observation.unfilled_orders().into_iter().map(|(since, _)| since));
    let settled = named.min().map_or(settled, |at| at.min(settled));
    is_whole.then_some(settled)
}

/// How far a piece of history reaches. It is read piece by piece so that stopping costs no more than one, so each moves
/// the cursors, whatever it held.
pub(super) fn plan_history_streams(piece: &HistoryPiece) -> Result<Plan, ReconcileError> {
    let mut plan = Plan::default();
    let observation = &piece.seen;
    let until = piece.window.until();
    let orders = observation.orders.iter().map(|walk| (ORDERS, walk.window, walk.continuity));
    let income = observation.income.iter().map(|walk| (INCOME, walk.window, walk.continuity));
    for (stream, window, continuity) in orders.chain(income) {
        let reach = StreamProgress { stream, symbol: None, since: window.since(), settled: until, continuity };
        plan.account_findings.extend(continuity.expired().map(|gap| history_expired(stream, None, gap)));
        // What is read again lies behind the cursor.
        let is_ahead = reached(&observation.book.cursors, stream, None)?.is_none_or(|reached| reached < until);
        plan.account_cursors.extend(reach.cursor().filter(|_| is_ahead));
        plan.account_coverage.extend(reach.coverage(CoverageGrade::Asked));
        if stream == INCOME {
            plan.account_coverage.extend(inferred_fills(observation, &reach));
        }
    }
    plan.account_coverage.extend(confirmed(observation));
    for (symbol, close) in &observation.symbols {
        let Asked::Answered(walk) = &close.fills else { continue };
        let (since, continuity) = (walk.window.since(), walk.continuity);
        let reach = StreamProgress { stream: FILLS, symbol: Some(symbol), since, settled: until, continuity };
        let reached = reached(&observation.book.cursors, FILLS, Some(symbol))?;
        let symbol_plan = plan.symbol(symbol);
        if reached.is_none_or(|reached| reached < until) {
            symbol_plan.cursors.extend(reach.cursor());
        }
        symbol_plan.coverage.extend(reach.coverage(CoverageGrade::Asked));
    }
    Ok(plan)
}

fn plan_symbol_streams(
    observation: &Observation,
    policy: &Policy,
    planned: &Plan,
    plan: &mut Plan,
) -> Result<(), ReconcileError> {
    let venue = observation.venue;
    for (symbol, close) in &observation.symbols {
        let writes_anyway = planned.symbols.get(symbol).is_some_and(|symbol| symbol.has_news(observation));
        let mut reaches = Vec::new();
        if let Asked::Answered(walk) = &close.fills {
            let settled = walk.asked_at.saturating_add_ms(-venue.settle_lag_ms);
            reaches.push(StreamProgress {
                stream: FILLS,
                symbol: Some(symbol),
                since: walk.window.since(),
                settled,
                continuity: walk.continuity,
            });
            // Fills are only asked for where something seems missing. The ledger names every trade of all symbols, so as
            // long as that was read without a gap, nothing was missed in the meantime.
            let is_resumed = observation.income.answer().is_some_and(|walk| walk.continuity == Continuity::Resumed);
            let is_watched = |gap: &TimeWindow| is_resumed && !ledger_is_lost_in(observation, *gap);
            let expired = walk.continuity.expired().filter(|gap| !is_watched(gap));
            let finding = expired.map(|gap| history_expired(FILLS, Some(symbol), gap));
            plan.symbol(symbol).findings.extend(finding);
        }
        if let Asked::Answered(walk) = &close.conditional_orders {
            let settled = walk.asked_at.saturating_add_ms(-venue.settle_lag_ms);
            reaches.push(StreamProgress {
                stream: CONDITIONAL_ORDERS,
                symbol: Some(symbol),
                since: walk.window.since(),
                settled,
                continuity: walk.continuity,
            });
        }
        let mut is_moved = false;
        for reach in reaches {
            if is_due(observation, policy, &reach, writes_anyway)? {
                let symbol_plan = plan.symbol(symbol);
                symbol_plan.cursors.extend(reach.cursor());
                symbol_plan.coverage.extend(reach.coverage(CoverageGrade::Asked));
                is_moved = true;
            }
        }
        if let Asked::Answered(walk) = &close.conditional_orders {
            let confirmed = confirmed_conditional_orders(observation, symbol, walk);
            let gain_ms = observation.read_before.gain_ms(&confirmed);
            if gain_ms >= policy.cursor_stride_ms || ((writes_anyway || is_moved) && gain_ms > 0) {
                plan.symbol(symbol).coverage.extend(confirmed);
            }
        }
    }
    Ok(())
}

/// Whether the ledger of some of this time could not be read in time, and nobody has brought it since.
fn ledger_is_lost_in(observation: &Observation, gap: TimeWindow) -> bool {
    let expired = DiscrepancyKind::HistoryExpired.as_str();
    let mut known = recall_all::<GapMemory>(&observation.book.discrepancies);
    known.any(|(known, lost)| {
        known.entry.key.kind == expired
            && lost.stream == INCOME
            && lost.since <= gap.until()
            && gap.since() <= lost.until
    })
}

/// What lies between the previous walk of a stream and the oldest that the venue still answers for.
fn history_expired(stream: &str, symbol: Option<&Symbol>, gap: TimeWindow) -> Finding {
    let what = symbol.map_or_else(|| stream.to_owned(), |symbol| format!("{stream} of {symbol}"));
    let (since, until) = (gap.since(), gap.until());
    let evidence = format!(
        "{what} from {} to {} were not read in time and the exchange does not answer for them any more; import \
         its export files of that time: this closes once every wallet and every trade of that time adds up, else acknowledge \
         it",
        instant(since),
        instant(until)
    );
    let subject = Subject::History(what, since);
    Finding::new(DiscrepancyKind::HistoryExpired, symbol, subject, Outlook::Stays, evidence).remembering(GapMemory {
        stream: stream.to_owned(),
        since,
        until,
    })
}

/// Streams that were not read for so long that the venue will soon not answer for all of the time since.
fn plan_expiring(
    observation: &Observation,
    policy: &Policy,
    now: TimestampMs,
    plan: &mut Plan,
) -> Result<(), ReconcileError> {
    let venue = observation.venue;
    let retention_ms = |stream: &str| match stream {
        FILLS => Some(venue.trades.retention_ms),
        ORDERS => Some(venue.orders.retention_ms),
        INCOME => Some(venue.income.retention_ms),
        _ => None,
    };
    // The ledger watches over the fills of symbols that are not looked at.
    let is_watched = observation.income.is_answered();
    for cursor in &observation.book.cursors {
        let Some(retention_ms) = retention_ms(&cursor.stream) else { continue };
        let symbols = cursor.symbol.as_ref().and_then(|symbol| plan.symbols.get(symbol));
        let moved = symbols.map_or(&[][..], |symbol| symbol.cursors.as_slice()).iter().chain(&plan.account_cursors);
        let moves = moved.into_iter().any(|moved| moved.stream == cursor.stream && moved.symbol == cursor.symbol);
        let is_failing = cursor
            .symbol
            .as_ref()
            .is_some_and(|symbol| observation.symbols.get(symbol).is_some_and(|close| close.fills.error().is_some()));
        if moves || (cursor.stream == FILLS && is_watched && !is_failing) {
            continue;
        }
        let stream = [FILLS, ORDERS, INCOME].into_iter().find(|stream| *stream == cursor.stream).unwrap_or(FILLS);
        let Some(at) = reached(&observation.book.cursors, stream, cursor.symbol.as_ref())? else { continue };
        let age_ms = now.as_ms().saturating_sub(at.as_ms());
        if age_ms < retention_ms / 100 * policy.expiring_percent || age_ms >= retention_ms {
            continue;
        }
        let what = cursor.symbol.as_ref().map_or_else(|| stream.to_owned(), |symbol| format!("{stream} of {symbol}"));
        let left_days = (retention_ms - age_ms) / 86_400_000;
        let evidence = format!(
            "{what} were last read up to {}; the exchange forgets what came then in {left_days} days, so find out why \
             they are not read",
            instant(at)
        );
        let subject = Subject::History(what, at);
        let symbol = cursor.symbol.clone();
        let finding =
            Finding::new(DiscrepancyKind::HistoryExpiring, symbol.as_ref(), subject, Outlook::Stays, evidence);
        match symbol {
            Some(symbol) => plan.symbol(&symbol).find(finding),
            None => plan.account_findings.push(finding),
        }
    }
    Ok(())
}

/// The gaps and cuts on record that are covered by now: by what was imported or asked for, or by a position stated at a
/// gap's end.
fn covered_gaps(observation: &Observation, planned: &Plan) -> Vec<ledger_store::DiscrepancyKey> {
    let gaps = recall_all::<GapMemory>(&observation.book.discrepancies);
    gaps.filter(|(known, GapMemory { stream, since, until })| {
        let (since, until) = (*since, *until);
        let symbol = known.entry.symbol.as_ref();
        complete_up_to(&observation.book.coverage, stream, symbol, since) >= until
            || (stream == FILLS && symbol.is_some_and(|symbol| is_anchored(observation, planned, symbol, until)))
    })
    .map(|(known, _)| known.entry.key.clone())
    .collect()
}

/// Whether what was held when the gap ended is stated.
fn is_anchored(observation: &Observation, planned: &Plan, symbol: &Symbol, until: TimestampMs) -> bool {
    let planned = planned.statements_of(symbol).iter().filter_map(|statement| match &statement.fact {
        ledger_core::AnyFact::Anchor(anchor) => Some(anchor),
        _ => None,
    });
    let known = observation.book.anchors.iter().map(|anchor| &anchor.fact);
    known.chain(planned).any(|anchor| anchor.symbol == *symbol && anchor.at >= until)
}
