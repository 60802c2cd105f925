//! Names that the book has never seen: an empty list that follows from a typing error must say so.

use std::collections::BTreeSet;
use std::fmt::Display;

use ledger_core::{AccountId, EngineLabel, IncomeType, Symbol};
use ledger_store::{
    IncomeFilter, OrderFilter, PageRequest, Pages, RepairFilter, Scope, SignalFilter, Store, TripFilter,
};
use reconciler::DiscrepancyKind;

use super::PAGE;
use crate::error::CommandError;
use crate::output::Output;

/// How many names are listed when none is near.
const LISTED_MAX: usize = 12;
/// The kinds of discrepancies that the book itself notices.
const STORE_KINDS: [&str; 2] = ["conflicting_fact", "position_mode"];
/// From this similarity on (0 to 1) a name is taken for what was meant.
const NEAR_MIN_PERCENT: usize = 60;

/// The names that narrowed a list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub(super) symbol: Option<&'a Symbol>,
    pub(super) engine: Option<&'a EngineLabel>,
    pub(super) income_type: Option<&'a IncomeType>,
    pub(super) discrepancy_kind: Option<&'a str>,
    pub(super) repair_kind: Option<&'a str>,
}

/// Says on standard error which of the names that were asked for the book has never seen, with the nearest ones that it
/// has. Only asked when a list is empty, because engines and income types have to be looked for in all of the history.
pub(super) async fn explain(
    store: &dyn Store,
    account: &AccountId,
    asked: Asked<'_>,
    output: &mut Output,
) -> Result<(), CommandError> {
    if let Some(symbol) = asked.symbol {
        let known: BTreeSet<String> = store.symbols(account).await?.iter().map(ToString::to_string).collect();
        warn("symbol", symbol, &known, output);
    }
    if let Some(engine) = asked.engine {
        warn("engine", engine, &engines(store, account).await?, output);
    }
    if let Some(income_type) = asked.income_type {
        warn("income type", income_type, &income_types(store, account).await?, output);
    }
    if let Some(kind) = asked.discrepancy_kind {
        let mut known: BTreeSet<String> = DiscrepancyKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
        known.extend(STORE_KINDS.map(str::to_owned));
        warn("kind of discrepancy", &kind, &known, output);
    }
    if let Some(kind) = asked.repair_kind {
        warn("kind of repair", &kind, &repair_kinds(store, account).await?, output);
    }
    Ok(())
}

fn warn(what: &str, asked: &impl Display, known: &BTreeSet<String>, output: &mut Output) {
    let asked = asked.to_string();
    if known.contains(&asked) {
        return;
    }
    output.complain(&format!("warning: the book has never seen {what} `{asked}`; {}", suggestion(&asked, known, what)));
}

/// What to try instead: the nearest names, else all of them.
pub(super) fn suggestion(asked: &str, known: &BTreeSet<String>, what: &str) -> String {
    if known.is_empty() {
        return format!("it has seen no {what} at all");
    }
    let asked = asked.to_lowercase();
    let mut near: Vec<(usize, &String)> =
        known.iter().map(|name| (likeness(&asked, &name.to_lowercase()), name)).collect();
    near.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    match near.first() {
        Some((percent, name)) if *percent >= NEAR_MIN_PERCENT => format!("did you mean {name}?"),
        _ => {
            let names: Vec<&str> = known.iter().take(LISTED_MAX).map(String::as_str).collect();
            let more = if known.len() > LISTED_MAX { ", ..." } else { "" };
            format!("it has {}{more}", names.join(", "))
        }
    }
}

/// How alike two names are, in percent: the share of letters that need no edit.
fn likeness(one: &str, other: &str) -> usize {
    let longest = one.chars().count().max(other.chars().count());
    let edits = strsim::damerau_levenshtein(one, other);
    (longest.saturating_sub(edits) * 100).checked_div(longest).unwrap_or(100)
}

/// The strategies of all signals, orders and round trips.
async fn engines(store: &dyn Store, account: &AccountId) -> Result<BTreeSet<String>, CommandError> {
    let mut names = BTreeSet::new();
    let signals = SignalFilter::from(Scope::account(account.clone()));
    let mut pages = Pages::of(PageRequest::first(PAGE), |page| store.signals(&signals, page));
    while let Some(page) = pages.next().await? {
        names.extend(page.items.iter().filter_map(|signal| signal.fact.engine.as_ref()).map(ToString::to_string));
    }
    let orders = OrderFilter::from(Scope::account(account.clone()));
    let mut pages = Pages::of(PageRequest::first(PAGE), |page| store.orders(&orders, page));
    while let Some(page) = pages.next().await? {
        names.extend(page.items.iter().filter_map(|order| order.order.fact.engine.as_ref()).map(ToString::to_string));
    }
    let trips = TripFilter { scope: Scope::account(account.clone()), engine: None, position_side: None };
    let mut pages = Pages::of(PageRequest::first(PAGE), |page| store.trips(&trips, page));
    while let Some(page) = pages.next().await? {
        names.extend(page.items.iter().filter_map(|trip| trip.engine.as_ref()).map(ToString::to_string));
    }
    Ok(names)
}

async fn repair_kinds(store: &dyn Store, account: &AccountId) -> Result<BTreeSet<String>, CommandError> {
    let mut names = BTreeSet::new();
    let filter = RepairFilter::from(account.clone());
    let mut pages = Pages::of(PageRequest::first(PAGE), |page| store.repairs(&filter, page));
    while let Some(page) = pages.next().await? {
        names.extend(page.items.into_iter().map(|repair| repair.kind));
    }
    Ok(names)
}

async fn income_types(store: &dyn Store, account: &AccountId) -> Result<BTreeSet<String>, CommandError> {
    let mut names = BTreeSet::new();
    let filter = IncomeFilter { scope: Scope::account(account.clone()), income_type: None };
    let mut pages = Pages::of(PageRequest::first(PAGE), |page| store.income(&filter, page));
    while let Some(page) = pages.next().await? {
        names.extend(page.items.iter().map(|row| row.fact.key.income_type.to_string()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_else_all_of_them() {
        let known: BTreeSet<String> = ["BTCUSDT", "ETHUSDT", "breakout"].map(str::to_owned).into();
        for (asked, told) in [
            ("BTCUSD", "did you mean BTCUSDT?"),
            ("btcusdt", "did you mean BTCUSDT?"),
            ("ETHUSTD", "did you mean ETHUSDT?"),
            ("BREAKOUTS", "did you mean breakout?"),
            ("DOGE", "it has BTCUSDT, ETHUSDT, breakout"),
            ("", "it has BTCUSDT, ETHUSDT, breakout"),
        ] {
            assert_eq!(suggestion(asked, &known, "symbol"), told, "{asked}");
        }
        assert_eq!(suggestion("X", &BTreeSet::new(), "symbol"), "it has seen no symbol at all");
    }
}
