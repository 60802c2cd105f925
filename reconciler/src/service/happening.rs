//! What happens while an account is watched, a line each.

use std::collections::BTreeSet;

use exchange_client::{OrderUpdate, StreamEvent};
use ledger_core::{AccountId, Condition, OrderId, Origin, Symbol, TimestampMs};
use ledger_store::{DiscrepancyKey, DiscrepancyStatus, NewDiscrepancy};

use crate::cycle::CycleReport;
use crate::discrepancy::DiscrepancyKind;
use crate::repair::RepairKind;
use crate::wording::{count, instant, lasting};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HappeningKind {
    /// Another process watches the account; this one waits for it.
    Waits,
    /// The account is watched from now on: the lease is held, the exchange has told the time and whose the answers are.
    Watching,
    /// The account is watched no longer.
    Ended,
    /// The stream stands.
    StreamOpened,
    /// The stream is interrupted.
    StreamInterrupted,
    /// The stream stands again; what it missed is being read.
    StreamResumed,
    /// The exchange answers what the stream did not tell.
    StreamDoubted,
    /// The stream said something that cannot be read, or is not known.
    StreamMessage,
    /// The exchange did not answer.
    Unreachable,
    /// The exchange answers again.
    Reachable,
    /// The book cannot be written.
    BookFailed,
    /// The book is written again.
    BookWritten,
    /// What was missing was restored.
    Restored,
    /// Book and exchange differ, and that is confirmed.
    Differs,
    /// The book was compared with the exchange for the first time.
    Compared,
    /// The exchange closed or reduced a position by itself.
    ForcedClose,
    /// Positions are about to be liquidated.
    MarginCall,
    /// A conditional order was triggered, and the exchange refused it: what it was to protect may be without protection.
    StopRefused,
}

ledger_core::names!(HappeningKind, "happening", {
    Waits = "waits", Watching = "watching", Ended = "ended", StreamOpened = "stream_opened",
    StreamInterrupted = "stream_interrupted", StreamResumed = "stream_resumed", StreamDoubted = "stream_doubted",
    StreamMessage = "stream_message", Unreachable = "unreachable", Reachable = "reachable", BookFailed = "book_failed",
    BookWritten = "book_written", Restored = "restored", Differs = "differs", Compared = "compared",
    ForcedClose = "forced_close", MarginCall = "margin_call",
    StopRefused = "stop_refused",
});

/// Something that happened, for whoever watches the watching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Whose account.
    pub account: AccountId,
    /// When, by the local clock.
    pub at_local: TimestampMs,
    /// What kind of thing.
    pub kind: HappeningKind,
    /// In words, on one line.
    pub text: String,
}

/// The same before anybody knows when and whose.
pub(super) type Told = (HappeningKind, String);

/// What an event of the stream is worth telling; orders and fills as they always are, are not. `is_down` is whether the
/// interruption was told already.
pub(super) fn of_event(event: &StreamEvent, is_down: bool) -> Option<Told> {
    match event {
        StreamEvent::Opened { at } => {
            Some((HappeningKind::StreamOpened, format!("the stream stands since {}", instant(*at))))
        }
        StreamEvent::Interrupted { .. } if is_down => None,
        StreamEvent::Interrupted { since, cause } => {
            let causes = std::iter::successors(Some(cause as &dyn std::error::Error), |cause| cause.source());
            let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            let text =
                format!("the stream is interrupted, and told nothing for certain since {}: {why}", instant(*since));
            Some((HappeningKind::StreamInterrupted, text))
        }
        StreamEvent::Resumed(gap) => {
            let lasted = lasting(gap.until.as_ms().saturating_sub(gap.since.as_ms()));
            let text = format!("the stream stands again; the {lasted} from {} on are being read", instant(gap.since));
            Some((HappeningKind::StreamResumed, text))
        }
        StreamEvent::Order(update) if is_forced(update) => {
            let (order, qty) =
                (&update.order, update.fill.as_ref().map_or_else(String::new, |fill| format!(" {}", fill.qty)));
            let by_origin = order.origin.and_then(Origin::exit_reason);
            let why = by_origin.map_or_else(|| order.status.to_string(), |reason| reason.as_str().to_owned());
            let text = format!("the exchange itself executed {}{qty} {} ({why})", order.side, order.key.symbol);
            Some((HappeningKind::ForcedClose, text))
        }
        StreamEvent::Order(update) if update.refusal.is_some() => {
            let order = &update.order;
            let reason = update.refusal.as_ref().and_then(|refusal| refusal.reason.as_deref());
            let text = refused(order.condition, &order.key.symbol, &order.key.order_id, reason);
            Some((HappeningKind::StopRefused, text))
        }
        StreamEvent::MarginCall(call) => {
            let positions: Vec<_> = call.positions.iter().map(|it| format!("{} {}", it.qty, it.symbol)).collect();
            Some((HappeningKind::MarginCall, format!("the exchange warns of a liquidation: {}", positions.join(", "))))
        }
        StreamEvent::TriggerRejected(rejection) => {
            let reason = Some(rejection.reason.as_str()).filter(|reason| !reason.is_empty());
            Some((HappeningKind::StopRefused, refused(None, &rejection.symbol, &rejection.order_id, reason)))
        }
        StreamEvent::Unreadable { error, .. } => {
            Some((HappeningKind::StreamMessage, format!("{error}; what it told is being read")))
        }
        _ => None,
    }
}

/// Whether the exchange executed something by itself. The kind of the execution does not tell: an order of the exchange's own has
/// been seen to trade like any other, so who sent it decides.
fn is_forced(update: &OrderUpdate) -> bool {
    update.fill.is_some() && update.order.origin.is_some_and(Origin::is_forced)
}

/// A conditional order that the exchange refused when it triggered, and what that means.
fn refused(condition: Option<Condition>, symbol: &Symbol, id: &OrderId, reason: Option<&str>) -> String {
    let (what, so) = match condition {
        Some(Condition::Stop) => ("stop", "the position may be unprotected"),
        Some(Condition::TakeProfit) => ("take profit", "the position may be open still"),
        None => ("conditional order", "what it was to protect may be unprotected"),
    };
    let reason = reason.unwrap_or("the exchange gives no reason");
    format!("the {what} {id} of {symbol} was refused when it triggered: {reason}; {so}")
}

/// How many repairs or discrepancies are told by name.
const NAMED_MAX: usize = 5;

/// Which of its cycles a watcher has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NthCycle {
    /// Its first one, and nobody ever compared the account before.
    FirstOfAccount,
    /// Its first one.
    FirstOfWatcher,
    /// A later one.
    Later,
}

/// What a cycle did and found; `known` are the discrepancies that were told before. A first one tells that it came to its end.
pub(super) fn of_cycle(report: &CycleReport, nth: NthCycle, known: &mut BTreeSet<DiscrepancyKey>) -> Vec<Told> {
    let mut told = Vec::new();
    if nth != NthCycle::Later {
        let text = format!("compared with the exchange: {} new", count(report.counts.recorded, "record"));
        told.push((HappeningKind::Compared, text));
    }
    // The signals of a bot that records none are restored with everything that it trades: nothing was missing.
    let repairs = || report.repairs.iter().filter(|repair| repair.kind != RepairKind::RestoreSignal);
    let all = repairs().count() + report.history.untold_repairs;
    // The first look at an account reads what the book never had: history, no damage.
    if all > 0 && nth != NthCycle::FirstOfAccount {
        let causes = repairs().map(|repair| repair.cause.clone()).collect();
        let text = format!("{}: {}", count(all, "repair"), named(causes, all, "fillbook repairs"));
        told.push((HappeningKind::Restored, text));
    }
    // What was not answered is told as trouble.
    let is_told = |kind: &str| kind == DiscrepancyKind::QueryFailed.as_str() && !report.failed.is_empty();
    let unresolved = || {
        let found = report.findings.iter().filter(|found| found.status == DiscrepancyStatus::Unresolved);
        found.filter(|found| !is_told(found.finding.kind.as_str()))
    };
    let new: Vec<_> = unresolved().filter(|found| !known.contains(&found.finding.key())).collect();
    if !new.is_empty() {
        let words = new.iter().map(|found| {
            let symbol = found.finding.symbol.as_ref().map_or_else(String::new, |symbol| format!(" {symbol}"));
            format!("{}{symbol}: {}", found.finding.kind, found.finding.evidence)
        });
        told.push((HappeningKind::Differs, named(words.collect(), new.len(), "fillbook discrepancies")));
    }
    let found: BTreeSet<_> = unresolved().map(|found| found.finding.key()).collect();
    let confirmed = || {
        let left = report.left.iter().filter(|left| left.entry.status == DiscrepancyStatus::Unresolved);
        left.filter(|left| !is_told(&left.entry.key.kind))
    };
    // What somebody else's look has confirmed. Behind a watcher's first cycle it stood before, as `status` tells.
    let others: Vec<_> = confirmed()
        .filter(|left| nth == NthCycle::Later && !found.contains(&left.entry.key) && !known.contains(&left.entry.key))
        .collect();
    if !others.is_empty() {
        let words = others.iter().map(|left| wording(&left.entry));
        told.push((HappeningKind::Differs, named(words.collect(), others.len(), "fillbook discrepancies")));
    }
    // What is gone and comes back is told again, and what is only doubted was not told.
    known.clear();
    known.extend(found);
    known.extend(confirmed().map(|left| left.entry.key.clone()));
    told
}

/// A discrepancy on record in a few words.
fn wording(entry: &NewDiscrepancy) -> String {
    let symbol = entry.symbol.as_ref().map_or_else(String::new, |symbol| format!(" {symbol}"));
    let evidence: Option<serde_json::Value> = serde_json::from_str(&entry.evidence_json).ok();
    let evidence = evidence.as_ref().and_then(|evidence| evidence.get("evidence")?.as_str());
    format!("{}{symbol}: {}", entry.key.kind, evidence.unwrap_or(&entry.key.fingerprint))
}

/// The first of `words`, and how many more there are.
fn named(mut words: Vec<String>, all: usize, command: &str) -> String {
    words.truncate(NAMED_MAX);
    if all > words.len() {
        words.push(format!("and {} more (`{command}`)", all - words.len()));
    }
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledger_core::{
        EventTime, Fill, FillId, FillKey, Label, Order, OrderClass, OrderKey, OrderStatus, OrderTerms, Side,
    };

    use super::*;

    /// A fill of an order that was sent by this one, in an event that calls it so.
    fn filled(execution: &str, origin: Option<Origin>) -> StreamEvent {
        let at = TimestampMs::new(1_780_000_000_000).unwrap();
        let (symbol, order_id) = (Symbol::new("BTCUSDT").unwrap(), OrderId::new("7").unwrap());
        let fill = Fill {
            key: FillKey { symbol: symbol.clone(), fill_id: FillId::new("1").unwrap(), side: Side::Sell },
            order_id: Some(order_id.clone()),
            time: EventTime::ms(at),
            price: "60000".parse().unwrap(),
            qty: "0.1".parse().unwrap(),
            position_side: None,
            fee: None,
            maker: None,
            exchange_realized_pnl: None,
            sequence: Some(1),
        };
        let order = Order {
            key: OrderKey { symbol, class: OrderClass::Regular, order_id },
            client_order_id: None,
            side: Side::Sell,
            position_side: None,
            order_type: None,
            time_in_force: None,
            status: OrderStatus::Filled,
            terms: OrderTerms { as_of: None, qty: None, price: None, trigger_price: None },
            executed: None,
            fees: None,
            reduce_only: None,
            close_position: None,
            created: None,
            updated: None,
            triggered_order_id: None,
            origin,
            condition: None,
            engine: None,
            signal_id: None,
            exit_reason: None,
        };
        let execution = Some(Label::new(execution).unwrap());
        let (fill, payload) = (Some(fill), Arc::from("{}"));
        StreamEvent::Order(Box::new(OrderUpdate { told_at: at, execution, order, refusal: None, fill, payload }))
    }

    /// The exchange's own orders have been seen to trade under the kind of any other, so who sent them decides.
    #[test]
    fn who_sent_an_order_decides_whether_a_close_was_forced() {
        for execution in ["TRADE", "CALCULATED"] {
            for (origin, why) in [(Origin::Liquidation, "liquidation"), (Origin::Adl, "adl")] {
                let (kind, text) = of_event(&filled(execution, Some(origin)), false).unwrap();
                assert_eq!(kind, HappeningKind::ForcedClose);
                assert_eq!(text, format!("the exchange itself executed SELL 0.1 BTCUSDT ({why})"));
            }
            for origin in [None, Some(Origin::Program), Some(Origin::Person)] {
                assert_eq!(of_event(&filled(execution, origin), false), None);
            }
        }
    }
}
