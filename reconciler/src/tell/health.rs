//! What goes wrong while an account is watched: after a minute, once, and its end once.
//!
//! Invariants, each with a test of the same name (in `tests/health.rs`):
//! 1. `trouble_is_told_after_a_minute_and_its_end_once`, and what passes before is not told.
//! 2. `what_cannot_wait_is_urgent`: a ban, what is stale, and a liquidation that comes close, with their ends.
//! 3. `nothing_is_over_before_a_new_watcher_knows`.
//! 4. `a_liquidation_is_seen_coming`, by the distance of the mark price to where it would be.

use ledger_core::{Decimal, TimestampMs};
use ledger_store::SeenLiquidation;

use super::event::{Amounts, Event, EventKind};
use super::money::{direction_of, percent};
use super::state::{TellState, Trouble};
use crate::watch_state::{FailureSummary, StreamState};
use crate::wording::lasting;

/// How long something goes wrong until it is told.
const PATIENCE_MS: i64 = 60_000;
/// That the last look is too old.
pub(super) const STALE: &str = "stale";

/// How an account stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthSeen {
    /// Whether the watcher can say whether the exchange answers: one that has just begun cannot.
    pub(crate) is_known: bool,
    /// Why the exchange does not answer.
    pub(crate) failure: Option<FailureSummary>,
    /// What the stream's word is worth.
    pub(crate) stream: Option<StreamState>,
    /// When positions and balances were last answered and written down, by the local clock.
    pub(crate) looked_local: Option<TimestampMs>,
    /// Where what is held would be liquidated.
    pub(crate) liquidations: Vec<SeenLiquidation>,
}

/// From when on health is trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HealthLimits {
    /// How old a look may be.
    pub(crate) stale_ms: i64,
    /// How close a mark price may come to a liquidation, in percent of itself.
    pub(crate) margin_percent: Decimal,
}

/// Something that goes wrong now.
struct Matter {
    /// What it is: its keys begin with it.
    name: String,
    kind: EventKind,
    /// How long it may last untold.
    patience_ms: i64,
    /// Since when, where that is known; else since it was first seen.
    since: Option<TimestampMs>,
    /// In words, with as many amounts as each needs.
    words: Vec<(Amounts, String)>,
    /// What is said at its end.
    end: &'static str,
}

/// What is to be told of how an account stands. The state moves on to it.
pub(crate) fn derive(state: &mut TellState, seen: &HealthSeen, limits: HealthLimits, now: TimestampMs) -> Vec<Event> {
    let matters = matters(state, seen, limits, now);
    let mut events = Vec::new();
    for matter in &matters {
        let new = || Trouble {
            since: matter.since.unwrap_or(now),
            is_told: false,
            is_urgent: matter.kind != EventKind::Trouble,
            end: matter.end.to_owned(),
        };
        let trouble = state.troubles.entry(matter.name.clone()).or_insert_with(new);
        if trouble.is_told || now.as_ms().saturating_sub(trouble.since.as_ms()) < matter.patience_ms {
            continue;
        }
        trouble.is_told = true;
        let key = format!("{}:{}", matter.name, trouble.since.as_ms());
        let mut event = Event::new(matter.kind, key, now).urgent(trouble.is_urgent);
        for (needs, words) in &matter.words {
            event = event.say_from(*needs, words.clone());
        }
        events.push(event.with("since", trouble.since.as_ms()));
    }
    state.troubles.retain(|name, trouble| {
        let is_untold = !seen.is_known && name != STALE;
        let goes_on = is_untold || matters.iter().any(|matter| matter.name == *name);
        if !goes_on && trouble.is_told {
            let lasted = lasting(now.as_ms().saturating_sub(trouble.since.as_ms()));
            let key = format!("{name}:{}:over", trouble.since.as_ms());
            let event = Event::new(EventKind::Over, key, now).urgent(trouble.is_urgent);
            events.push(event.say(format!("{}, after {lasted}", trouble.end)).with("since", trouble.since.as_ms()));
        }
        goes_on
    });
    events
}

fn matters(state: &TellState, seen: &HealthSeen, limits: HealthLimits, now: TimestampMs) -> Vec<Matter> {
    let mut matters = Vec::new();
    if let Some(failure) = &seen.failure {
        let words = format!("the exchange has not answered for {}: {}", ago(failure.since_local, now), failure.reason);
        matters.push(Matter {
            name: "unreachable".to_owned(),
            kind: EventKind::Trouble,
            patience_ms: PATIENCE_MS,
            since: Some(failure.since_local),
            words: vec![(Amounts::None, words)],
            end: "the exchange answers again",
        });
        if let Some(until) = failure.banned_until.filter(|until| *until > now) {
            let left = lasting(until.as_ms().saturating_sub(now.as_ms()));
            let words = format!("the exchange has banned this address for {left}; nothing is looked at until then");
            matters.push(Matter {
                name: "banned".to_owned(),
                kind: EventKind::Ban,
                patience_ms: 0,
                since: Some(failure.since_local),
                words: vec![(Amounts::None, words)],
                end: "the exchange's ban is over",
            });
        }
    }
    if let Some(stream) = seen.stream.filter(|stream| !matches!(stream, StreamState::Unproven | StreamState::Confirmed))
    {
        matters.push(Matter {
            name: "stream".to_owned(),
            kind: EventKind::Trouble,
            patience_ms: PATIENCE_MS,
            since: None,
            words: vec![(Amounts::None, format!("the stream is {stream}: looks have to do, every minute or so"))],
            end: "the stream stands again",
        });
    }
    // Before the first look of all, the exchange's silence is trouble by itself.
    if let Some(looked) = seen.looked_local.filter(|looked| now.as_ms() - looked.as_ms() > limits.stale_ms) {
        let words = format!("nothing was compared with the exchange for {}", ago(looked, now));
        matters.push(Matter {
            name: STALE.to_owned(),
            kind: EventKind::Stale,
            patience_ms: 0,
            since: Some(looked),
            words: vec![(Amounts::None, words)],
            end: "the account is compared with the exchange again",
        });
    }
    matters.extend(seen.liquidations.iter().filter_map(|seen| margin(state, seen, limits.margin_percent)));
    matters
}

fn ago(since: TimestampMs, now: TimestampMs) -> String {
    lasting(now.as_ms().saturating_sub(since.as_ms()))
}

/// A position whose liquidation is close; one that was told stays close until it is half as far again.
fn margin(state: &TellState, seen: &SeenLiquidation, close: Decimal) -> Option<Matter> {
    let name = format!("margin:{}:{}", seen.symbol, seen.position_side);
    let (mark, liquidation) = (seen.mark_price.get(), seen.liquidation_price.get());
    let away = if seen.qty.is_negative() { liquidation.checked_sub(mark) } else { mark.checked_sub(liquidation) };
    let away = percent(away.ok()?, mark)?;
    let was_told = state.troubles.contains_key(&name);
    let limit = if was_told { close.checked_mul_round(Decimal::new(15, 1).ok()?, 2).ok()? } else { close };
    if away > limit {
        return None;
    }
    let direction = direction_of(seen.qty);
    Some(Matter {
        name,
        kind: EventKind::Margin,
        patience_ms: 0,
        since: None,
        words: vec![
            (Amounts::None, format!("{} {direction} is close to its liquidation", seen.symbol)),
            (Amounts::Percent, format!(": {away} % away, mark {mark}, liquidation at {liquidation}")),
        ],
        end: "a position is no longer close to its liquidation",
    })
}
