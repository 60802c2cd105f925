//! What the journal is told as: what was restored, and what differs and is gone again, each with the command that shows it.
//!
//! Invariants, each with a test of the same name (in `tests/journal.rs`):
//! 1. `a_repair_is_told_once`, and what the first look at an account brings is none.
//! 2. `a_difference_is_told_when_it_is_confirmed_and_when_it_is_gone`, and again when it comes back.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::TimestampMs;
use ledger_store::{Discrepancy, DiscrepancyStatus, Repair};

use super::event::{Amounts, Event, EventKind};
use super::state::{Difference, TellState};
use crate::repair::RepairKind;
use crate::wording::{count, evidence_line};

/// How many causes are named.
const NAMED_MAX: usize = 3;
/// How many differences are told by themselves; of more, the number.
const SINGLE_MAX: usize = 5;
/// How long a difference may be worded.
const WORDS_MAX: usize = 300;

/// What the journal says, of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct JournalSeen {
    /// Whether the account was ever compared with the exchange.
    pub(crate) was_compared: bool,
    /// The number of the last repair.
    pub(crate) last_repair: i64,
    /// The repairs behind the last one that was looked at, by number.
    pub(crate) repairs: Vec<Repair>,
    /// What differs and is not gone, accepted or not.
    pub(crate) standing: Vec<Discrepancy>,
}

/// What is to be told of `seen`. The state moves on to it.
pub(crate) fn derive(state: &mut TellState, seen: &JournalSeen, now: TimestampMs) -> Vec<Event> {
    let mut events = Vec::new();
    // The first look at an account reads what the book never had: history, no damage.
    if seen.was_compared && state.repairs.replace(seen.last_repair).is_some() {
        events.extend(repaired(&seen.repairs));
    }
    events.extend(differences(state, seen, now));
    events
}

/// Where an account stands whose differences were there before anybody was told.
pub(crate) fn begin(state: &mut TellState, seen: &JournalSeen) {
    if seen.was_compared {
        state.repairs = Some(seen.last_repair);
        state.differs = confirmed(seen).map(|it| (it.id, about(it))).collect();
    }
}

fn confirmed(seen: &JournalSeen) -> impl Iterator<Item = &Discrepancy> {
    seen.standing.iter().filter(|it| it.entry.status == DiscrepancyStatus::Unresolved)
}

/// What was restored or corrected. That somebody accepted a difference is no repair, and a signal that is restored of a bot that
/// records none was not missing.
fn repaired(repairs: &[Repair]) -> Option<Event> {
    let told = |repair: &&Repair| repair.kind != RepairKind::RestoreSignal.as_str() && repair.kind != "acknowledge";
    let repairs: Vec<&Repair> = repairs.iter().filter(told).collect();
    let (first, last) = (repairs.first()?, repairs.last()?);
    let kinds: BTreeSet<&str> = repairs.iter().map(|repair| repair.kind.as_str()).collect();
    let mut causes: Vec<String> = repairs.iter().take(NAMED_MAX).map(|repair| shortened(&repair.cause)).collect();
    if repairs.len() > NAMED_MAX {
        causes.push(format!("and {} more", repairs.len() - NAMED_MAX));
    }
    let text = format!("{} ({})", count(repairs.len(), "repair"), kinds.into_iter().collect::<Vec<_>>().join(", "));
    let event = Event::new(EventKind::Repaired, format!("repairs:{}-{}", first.id, last.id), last.at_local).say(text);
    let event = event.say_from(Amounts::Full, format!(": {}", causes.join("; "))).say(" `fillbook repairs`");
    Some(event.with("repairs", repairs.iter().map(|repair| repair.id).collect::<Vec<_>>()))
}

fn differences(state: &mut TellState, seen: &JournalSeen, now: TimestampMs) -> Vec<Event> {
    let mut events = Vec::new();
    let new: Vec<&Discrepancy> = confirmed(seen).filter(|it| !state.differs.contains_key(&it.id)).collect();
    if new.len() > SINGLE_MAX {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for it in &new {
            *kinds.entry(it.entry.key.kind.as_str()).or_default() += 1;
        }
        let kinds: Vec<String> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
        let text = format!("book and exchange differ: {} `fillbook discrepancies`", kinds.join(", "));
        let ids: Vec<i64> = new.iter().map(|it| it.id).collect();
        let key = format!("differs:{}-{}:{}", ids.iter().min().unwrap_or(&0), ids.len(), now.as_ms());
        events.push(Event::new(EventKind::Differs, key, now).say(text).with("discrepancies", ids));
    } else {
        events.extend(new.iter().map(|it| differs(it)));
    }
    state.differs.extend(new.iter().map(|it| (it.id, about(it))));
    // What somebody accepted is neither told nor gone; what is doubted again stands.
    let standing: BTreeMap<i64, DiscrepancyStatus> = seen.standing.iter().map(|it| (it.id, it.entry.status)).collect();
    let mut gone = Vec::new();
    state.differs.retain(|id, about| {
        let status = standing.get(id);
        if status.is_none() {
            gone.push((*id, about.clone()));
        }
        status.is_some_and(|status| *status != DiscrepancyStatus::Acknowledged)
    });
    if gone.len() > SINGLE_MAX {
        let text = format!(
            "{} between book and exchange are gone `fillbook discrepancies --all`",
            count(gone.len(), "difference")
        );
        let first = gone.iter().map(|(id, _)| *id).min().unwrap_or(0);
        let key = format!("agrees:{first}-{}:{}", gone.len(), now.as_ms());
        let ids: Vec<i64> = gone.into_iter().map(|(id, _)| id).collect();
        events.push(Event::new(EventKind::Agrees, key, now).say(text).with("discrepancies", ids));
    } else {
        events.extend(gone.into_iter().map(|(id, about)| {
            let key = format!("discrepancy:{id}:gone:{}", now.as_ms());
            let event = Event::new(EventKind::Agrees, key, now).say(format!("gone: {}", about.what));
            let event = event.say_from(Amounts::Full, format!(": {}", about.evidence));
            event.say(" `fillbook discrepancies --all`").with("discrepancies", vec![id])
        }));
    }
    events
}

fn differs(it: &Discrepancy) -> Event {
    let (kind, about) = (&it.entry.key.kind, about(it));
    // One that comes back is another message.
    let key = format!("discrepancy:{}:open:{}", it.id, it.last_seen_local.as_ms());
    let event = Event::new(EventKind::Differs, key, it.last_seen_local);
    let event = event.say(format!("book and exchange differ: {}", about.what));
    let event = event.say_from(Amounts::Full, format!(": {}", about.evidence));
    let event = event.say(format!(" `fillbook discrepancies --kind {kind}`"));
    event.with("discrepancies", vec![it.id]).with("discrepancy_kind", kind.as_str())
}

fn about(it: &Discrepancy) -> Difference {
    let symbol = it.entry.symbol.as_ref().map_or_else(String::new, |symbol| format!(" {symbol}"));
    Difference { what: format!("{}{symbol}", it.entry.key.kind), evidence: shortened(&evidence_line(&it.entry)) }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(WORDS_MAX).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
}
