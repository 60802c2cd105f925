//! What the file is, and whether those who stated its facts agree.

use ledger_core::{AccountId, Decimal, Order, Origin, PositionMode, PositionSide};
use ledger_store::{Discrepancy, DiscrepancyStatus, FillFilter, OrderFilter, PageRequest, Pages, Scope, Store};

use super::super::{BOOK_PAGE_ROWS, Check, CheckName, Comparison};
use crate::discrepancy::DiscrepancyKind;
use crate::error::{Doing, ReconcileError};
use crate::record::bot_record::is_restored_id;
use crate::wording::{count, evidence_line};

/// The database engine finds the file sound, its schema is this version's, and every payload is as it was received.
pub(super) async fn schema(store: &dyn Store) -> Result<Check, ReconcileError> {
    let info = store.info().await.doing("reading what the file is")?;
    let problems = store.integrity_check().await.doing("checking the file")?;
    Ok(match problems.first() {
        None => Check::pass(CheckName::Schema, 1, format!("version {}, file and payloads sound", info.schema_version)),
        Some(first) => {
            let more = if problems.len() > 1 { format!("; and {} more", problems.len() - 1) } else { String::new() };
            Check::fail(CheckName::Schema, format!("the file is not as it was written: {first}{more}"))
        }
    })
}

fn open<'a>(on_record: &'a [Discrepancy], kind: &'a str) -> impl Iterator<Item = &'a Discrepancy> {
    on_record
        .iter()
        .filter(move |known| known.entry.key.kind == kind && known.entry.status != DiscrepancyStatus::Acknowledged)
}

/// No fact is stated differently by different sources, and no two files leave open how many there are.
pub(super) async fn sources_agree(
    store: &dyn Store,
    account: &AccountId,
    on_record: &[Discrepancy],
) -> Result<Check, ReconcileError> {
    let restated = store.restated_count(account).await.doing("counting what is stated more than once")?;
    let mut comparison = Comparison::of("conflict", on_record);
    for known in open(on_record, "conflicting_fact").chain(open(on_record, DiscrepancyKind::LedgerCut.as_str())) {
        comparison.compare(false, || evidence_line(&known.entry));
    }
    // A conflict is of a fact that is stated more than once, or of rows that two files have.
    comparison.compared = comparison.count.max(usize::try_from(restated).unwrap_or(usize::MAX));
    comparison.shown = Some(format!("{} stated more than once, none in two ways", count(comparison.compared, "fact")));
    Ok(comparison.check(CheckName::SourcesAgree, "no fact is stated more than once").0)
}

/// How many fills name a position, and how many do not.
#[derive(Default)]
struct Named {
    one_way: usize,
    hedge: usize,
    none: usize,
}

impl Named {
    async fn of(store: &dyn Store, account: &AccountId) -> Result<Self, ReconcileError> {
        let mut named = Self::default();
        let filter = FillFilter::from(Scope::account(account.clone()));
        let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| store.fills(&filter, page));
        while let Some(page) = pages.next().await.doing("reading the fills")? {
            for fill in &page.items {
                *match fill.fact.position_side {
                    Some(PositionSide::Net) => &mut named.one_way,
                    Some(PositionSide::Long | PositionSide::Short) => &mut named.hedge,
                    None => &mut named.none,
                } += 1;
            }
        }
        Ok(named)
    }
}

/// The position mode, by which fills without a position side are placed, against the positions that fills name.
pub(super) async fn position_mode(
    store: &dyn Store,
    account: &AccountId,
    on_record: &[Discrepancy],
) -> Result<Check, ReconcileError> {
    const NAME: CheckName = CheckName::PositionMode;
    if let Some(contradiction) = open(on_record, "position_mode").next() {
        return Ok(Check::fail(NAME, evidence_line(&contradiction.entry)));
    }
    let named = Named::of(store, account).await?;
    let account = store.account(account).await.doing("reading the account")?;
    let Some((mode, account)) = account.as_ref().and_then(|account| Some((account.mode()?, account))) else {
        return Ok(Check::not_checkable(NAME, "neither the user nor the exchange has said what it is"));
    };
    let whose = if account.position_mode.is_some() { "as the user says" } else { "by the exchange's answer" };
    let (same, other) = match mode {
        PositionMode::OneWay => (named.one_way, named.hedge),
        PositionMode::Hedge => (named.hedge, named.one_way),
    };
    let mut comparison = Comparison::of("fill", on_record);
    comparison.compared = same;
    let names = if same == 1 { "names" } else { "name" };
    let is_answered = account.position_mode.is_some() && account.observed_mode.is_some();
    let answered = if is_answered { ", and the exchange's answer is the same" } else { "" };
    comparison.compared += usize::from(is_answered);
    comparison.shown = Some(format!("{mode}, {whose}; {} {names} a position of it{answered}", count(same, "fill")));
    comparison.leave_out(named.none, "no position is named");
    // The account may have been in another mode before: the exchange answers which one it is in now.
    comparison.leave_out(other, "a position of the other mode is named");
    Ok(comparison.check(NAME, &format!("{mode}, {whose}; no fill is on record")).0)
}

/// Why nothing is said of an order. Its strategy is a bot's record, a label of its files, or a signal.
const NO_SENDER: &str = "the sender is not on record (`import` the bot's database, or `sync --state FILE`)";

/// Who sent the orders that were executed, as far as something on record says it. Nobody's trades are a fault.
#[derive(Default)]
struct Senders {
    bot: usize,
    person: usize,
    exchange: usize,
}

/// Whose trades there are: the bot's, those of a person with the exchange's own apps, and the exchange's own.
pub(super) async fn foreign(store: &dyn Store, account: &AccountId) -> Result<Check, ReconcileError> {
    let mut comparison = Comparison::of("executed order", &[]);
    let mut senders = Senders::default();
    let filter = OrderFilter::from(Scope::account(account.clone()));
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| store.orders(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the orders")? {
        for order in page.items {
            if order.filled_qty.is_none_or(Decimal::is_zero) {
                continue;
            }
            let fact = &order.order.fact;
            // A restored signal says that none was on record.
            let has_signal = fact.signal_id.as_ref().is_some_and(|id| !is_restored_id(id));
            let is_bots = has_signal || fact.engine.is_some() || has_intent(store, account, fact).await?;
            let known = match fact.origin {
                Some(origin) if origin.is_forced() => &mut senders.exchange,
                Some(Origin::Person) => &mut senders.person,
                _ if is_bots => &mut senders.bot,
                _ => {
                    comparison.leave_out(1, NO_SENDER);
                    continue;
                }
            };
            *known += 1;
        }
    }
    let Senders { bot, person, exchange } = senders;
    comparison.compared = bot + person + exchange;
    let parts = [(bot, "of the bot"), (person, "by hand"), (exchange, "by the exchange")];
    let parts = parts.iter().filter(|(number, _)| *number > 0).map(|(number, who)| format!("{number} {who}"));
    let parts = parts.collect::<Vec<_>>().join(", ");
    comparison.shown = Some(format!("{}: {parts}", count(comparison.compared, "executed order")));
    Ok(comparison.check(CheckName::ForeignFacts, "no executed order is on record").0)
}

/// Whether the bot wrote down that it was about to send the order.
async fn has_intent(store: &dyn Store, account: &AccountId, order: &Order) -> Result<bool, ReconcileError> {
    let Some(id) = &order.client_order_id else { return Ok(false) };
    Ok(store.intent(account, id).await.doing("reading an intent")?.is_some())
}
