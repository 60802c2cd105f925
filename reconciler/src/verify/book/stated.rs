//! What the file is, and whether those who stated its facts agree.

use ledger_core::{AccountId, Decimal};
use ledger_store::{Discrepancy, DiscrepancyStatus, OrderFilter, PageRequest, Scope, SignalFilter, Store};

use super::super::{BOOK_PAGE_ROWS, Check, CheckName, Tally, count};
use crate::discrepancy::DiscrepancyKind;
use crate::error::{Doing, ReconcileError};
use crate::plan::is_restored_id;
use crate::wording::evidence_line;

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
pub(super) fn sources_agree(on_record: &[Discrepancy]) -> Check {
    let mut tally = Tally::of("conflict", on_record);
    for known in open(on_record, "conflicting_fact").chain(open(on_record, DiscrepancyKind::LedgerCut.as_str())) {
        tally.compare(false, || evidence_line(&known.entry));
    }
    if tally.count == 0 {
        return Check::pass(CheckName::SourcesAgree, 1, "no fact is stated in two ways");
    }
    tally.check(CheckName::SourcesAgree, "").0
}

/// Nothing contradicts the user's word about the position mode, by which fills without a position side are placed.
pub(super) async fn position_mode(
    store: &dyn Store,
    account: &AccountId,
    on_record: &[Discrepancy],
) -> Result<Check, ReconcileError> {
    const NAME: CheckName = CheckName::PositionMode;
    if let Some(contradiction) = open(on_record, "position_mode").next() {
        return Ok(Check::fail(NAME, evidence_line(&contradiction.entry)));
    }
    let account = store.account(account).await.doing("reading the account")?;
    let mode = account.as_ref().and_then(|account| account.mode().map(|mode| (mode, account.position_mode.is_some())));
    Ok(match mode {
        Some((mode, true)) => Check::pass(NAME, 1, format!("{mode}, as was said; nothing contradicts it")),
        Some((mode, false)) => Check::pass(NAME, 1, format!("{mode}, by the exchange's answer")),
        None => Check::pass(NAME, 1, "nobody has said it, and no fill is placed by it"),
    })
}

/// Which fills no signal of the book explains: trades by hand, or of another bot. They count like all others.
pub(super) async fn foreign(store: &dyn Store, account: &AccountId) -> Result<Check, ReconcileError> {
    const NAME: CheckName = CheckName::ForeignFacts;
    let signals = SignalFilter::from(Scope::account(account.clone()));
    if store.signals(&signals, &PageRequest::first(1)).await.doing("reading the signals")?.items.is_empty() {
        return Ok(Check::not_checkable(NAME, "no signals on record"));
    }
    let filter = OrderFilter::from(Scope::account(account.clone()));
    let (mut own, mut foreign) = (0, 0);
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = store.orders(&filter, &request).await.doing("reading the orders")?;
        for order in page.items {
            if order.filled_qty.is_none_or(Decimal::is_zero) {
                continue;
            }
            let fact = &order.order.fact;
            // A restored signal says that nobody told of one.
            let has_signal = fact.signal_id.as_ref().is_some_and(|id| !is_restored_id(id));
            *if has_signal || fact.engine.is_some() { &mut own } else { &mut foreign } += 1;
        }
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => break,
        }
    }
    let detail = format!("{} of the bot, {foreign} by hand or of another bot", count(own, "executed order"));
    Ok(Check::pass(NAME, own + foreign, detail))
}
