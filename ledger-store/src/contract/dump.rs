//! The whole logical book as text, and an independent computation of its derived part.

use std::collections::BTreeMap;

use ledger_core::{
    AccountId, Certainty, Decimal, Fee, Fill, FoldEvent, FundingRate, Income, Order, OrderClass, OrderContext,
    Quantity, Residual, RoundTrip, Symbol, SymbolFold, TimestampMs, funding_instant,
};

use crate::filter::{
    DiscrepancyFilter, FillFilter, IncomeFilter, IntentFilter, OrderFilter, Scope, SignalFilter, TripFilter,
};
use crate::page::{Page, PageRequest};
use crate::pages::Pages;
use crate::record::{BookPosition, ReconcileStatus};
use crate::store::{Store, StoreResult};

/// Every item of a list, read in pages.
async fn all<T, R: Future<Output = StoreResult<Page<T>>>>(read: impl FnMut(PageRequest) -> R) -> Vec<T> {
    Pages::of(PageRequest::first(97), read).all().await.unwrap()
}

/// Every fact as merged and everything derived from them, one line each: what any two ways to the same facts must
/// agree on.
pub async fn dump(store: &dyn Store, account: &AccountId) -> Vec<String> {
    let scope = Scope::account(account.clone());
    let mut lines = Vec::new();
    let mut add = |what: &str, item: String| lines.push(format!("{what} {item}"));
    for item in store.instruments(account).await.unwrap() {
        add("instrument", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    let filter = SignalFilter::from(scope.clone());
    for item in all(|page| store.signals(&filter, page)).await {
        add("signal", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    let filter = IntentFilter::from(scope.clone());
    for item in all(|page| store.intents(&filter, page)).await {
        add("intent", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    let filter = OrderFilter::from(scope.clone());
    for item in all(|page| store.orders(&filter, page)).await {
        let sums = (item.filled_qty, item.filled_quote, item.residual_qty, item.residual_fees);
        add("order", format!("{:?} {:?} {sums:?}", item.order.fact, item.order.conflicts));
    }
    let filter = FillFilter::from(scope.clone());
    for item in all(|page| store.fills(&filter, page)).await {
        add("fill", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    for item in all(|page| store.cancels(&scope, page)).await {
        add("cancel", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    let filter = IncomeFilter { scope: scope.clone(), income_type: None };
    for item in all(|page| store.income(&filter, page)).await {
        add("income", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    for item in all(|page| store.position_snapshots(&scope, page)).await {
        add("position snapshot", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    for item in all(|page| store.balance_snapshots(&scope, page)).await {
        add("balance snapshot", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    for item in all(|page| store.price_snapshots(&scope, page)).await {
        add("price snapshot", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    for item in all(|page| store.funding_rates(&scope, page)).await {
        add("funding rate", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    for item in all(|page| store.anchors(&scope, page)).await {
        add("anchor", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    for item in store.position_modes(account).await.unwrap() {
        add("position mode", format!("{:?} {:?}", item.fact, item.conflicts));
    }
    lines.extend(dump_derived(store, account).await);
    lines
}

/// The derived part of [`dump`].
pub(super) async fn dump_derived(store: &dyn Store, account: &AccountId) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |what: &str, item: String| lines.push(format!("{what} {item}"));
    for item in store.positions(account).await.unwrap() {
        add("position", format!("{item:?}"));
    }
    for item in store.symbol_books(account).await.unwrap() {
        add("book", format!("{item:?}"));
    }
    let filter = TripFilter { scope: Scope::account(account.clone()), engine: None, position_side: None };
    for item in all(|page| store.trips(&filter, page)).await {
        add("trip", format!("{item:?}"));
    }
    for item in store.open_trips(account).await.unwrap() {
        add("open trip", format!("{item:?}"));
    }
    for item in all(|page| store.pnl_mismatches(account, page)).await {
        add("mismatch", format!("{item:?}"));
    }
    for item in store.quarantined(account).await.unwrap() {
        add("quarantine", format!("{item:?}"));
    }
    for symbol in store.symbols(account).await.unwrap() {
        for item in all(|page| store.fills_in_fold_order(account, &symbol, page)).await {
            add("folded fill", format!("{:?} {:?}", item.fact, item.provenance.exceptions.get("fee")));
        }
    }
    // Those that the book opens by itself.
    for kind in ["conflicting_fact", "position_mode"] {
        let filter = DiscrepancyFilter { kind: Some(kind.to_owned()), ..DiscrepancyFilter::standing(account.clone()) };
        let mut found = all(|page| store.discrepancies(&filter, page)).await;
        found.sort_by(|a, b| a.entry.key.cmp(&b.entry.key));
        for item in found {
            add("discrepancy", format!("{:?} {:?}", item.entry.key, item.entry.status));
        }
    }
    lines
}

enum Event {
    Residual(Residual, OrderContext),
    Funding(Vec<Income>, Option<FundingRate>),
    Clearance(Income),
    Anchor(ledger_core::Anchor),
}

/// The stated fees of an order minus the fees of its fills, by asset. `None` where a part of that is not known.
fn fees_beyond(order: &Order, executed: Decimal, paid: &BTreeMap<String, Decimal>) -> Option<Vec<Fee>> {
    let stated = order.fees.as_ref().filter(|stated| stated.qty() == executed)?;
    let of = |asset: &str| paid.get(asset).copied().unwrap_or_default();
    let rest = stated
        .paid()
        .iter()
        .map(|fee| Fee { amount: fee.amount.checked_sub(of(fee.asset.as_str())).unwrap(), asset: fee.asset.clone() });
    let is_stated = |asset: &str| stated.paid().iter().any(|fee| fee.asset.as_str() == asset);
    paid.iter().all(|(asset, amount)| amount.is_zero() || is_stated(asset)).then(|| rest.collect())
}

/// The round trips and positions of a symbol, computed from the store's facts in memory: everything is read, sorted
/// and folded at once, without checkpoints, marks, pages or stored sums. It knows nothing of what is told elsewhere than
/// in fills and regular orders: see [`History::told_elsewhere`](super::History::told_elsewhere).
pub async fn oracle(store: &dyn Store, account: &AccountId, symbol: &Symbol) -> Vec<String> {
    let scope = Scope::symbol(account.clone(), symbol.clone());
    let filter = FillFilter::from(scope.clone());
    let mut fills: Vec<Fill> = all(|page| store.fills(&filter, page)).await.into_iter().map(|fill| fill.fact).collect();
    fills.sort_by_key(Fill::fold_key);
    let filter = OrderFilter::from(scope.clone());
    let orders = all(|page| store.orders(&filter, page)).await;
    let (mut contexts, mut sides) = (BTreeMap::new(), BTreeMap::new());
    let mut events: Vec<((TimestampMs, u8, String), Event)> = Vec::new();
    for sourced in orders.iter().map(|order| &order.order).filter(|order| order.fact.key.class == OrderClass::Regular) {
        let (order, is_inferred) = (&sourced.fact, sourced.provenance.of("exit_reason").is_inferred());
        let context = OrderContext {
            engine: order.engine.clone(),
            origin: order.origin,
            condition: order.condition,
            said: order.exit_reason.filter(|_| !is_inferred),
            inferred: order.exit_reason.filter(|_| is_inferred),
            bot: None,
        };
        contexts.insert(order.key.order_id.clone(), context.clone());
        sides.extend(order.position_side.map(|side| (order.key.order_id.clone(), side)));
        let own = fills.iter().filter(|fill| fill.order_id.as_ref() == Some(&order.key.order_id));
        let (mut qty, mut quote) = (Decimal::ZERO, Decimal::ZERO);
        let mut paid: Option<BTreeMap<String, Decimal>> = Some(BTreeMap::new());
        for fill in own {
            paid = paid.zip(fill.fee.as_ref()).map(|(mut paid, fee)| {
                let sum = paid.entry(fee.asset.to_string()).or_default();
                *sum = sum.checked_add(fee.amount).unwrap();
                paid
            });
            qty = qty.checked_add(fill.qty.get()).unwrap();
            quote = quote.checked_add(fill.qty.get().checked_mul(fill.price.get()).unwrap()).unwrap();
        }
        let Some(executed) = &order.executed else { continue };
        let Ok(rest) = Quantity::new(executed.qty.checked_sub(qty).unwrap()) else { continue };
        let (Some(at), Some(position_side)) = (order.updated.or(order.created), order.position_side) else { continue };
        let price = executed.avg_price.map(|average| {
            let rest_quote = executed.qty.checked_mul(average.get()).unwrap().checked_sub(quote).unwrap();
            let price = rest_quote.div_round(rest.get(), 8).unwrap();
            if price.is_positive() { ledger_core::Price::new(price).unwrap() } else { average }
        });
        let residual = Residual {
            order_id: order.key.order_id.clone(),
            side: order.side,
            position_side: Some(position_side),
            qty: rest,
            price,
            fees: paid.and_then(|paid| fees_beyond(order, executed.qty, &paid)).unwrap_or_default(),
            at: at.at,
        };
        events.push(((at.at, 3, order.key.order_id.to_string()), Event::Residual(residual, context)));
    }
    let early = |at: TimestampMs| TimestampMs::new(at.as_ms() - 60_000).unwrap();
    let rates = all(|page| store.funding_rates(&scope, page)).await.into_iter().map(|rate| rate.fact);
    let rates: BTreeMap<TimestampMs, FundingRate> = rates.map(|rate| (rate.at, rate)).collect();
    let mut instants = BTreeMap::<TimestampMs, Vec<Income>>::new();
    let filter = IncomeFilter { scope: scope.clone(), income_type: None };
    for income in all(|page| store.income(&filter, page)).await.into_iter().map(|income| income.fact) {
        if income.key.income_type.is("FUNDING_FEE") {
            // In these histories a row of which the rate is on record is posted at the instant itself.
            let instant =
                if rates.contains_key(&income.time.at) { income.time.at } else { funding_instant(income.time.at) };
            instants.entry(instant).or_default().push(income);
        } else if income.key.income_type.is("INSURANCE_CLEAR") {
            events.push(((early(income.time.at), 2, income.key.tran_id.to_string()), Event::Clearance(income)));
        }
    }
    for (at, mut rows) in instants {
        rows.sort_by(|a, b| a.key.tran_id.cmp(&b.key.tran_id));
        events.push(((early(at), 1, String::new()), Event::Funding(rows, rates.get(&at).cloned())));
    }
    let anchors = all(|page| store.anchors(&scope, page)).await.into_iter().map(|anchor| anchor.fact);
    for anchor in anchors.filter(|anchor| anchor.withdrawn.is_none()) {
        events.push(((anchor.at, 0, anchor.position_side.to_string()), Event::Anchor(anchor)));
    }
    events.sort_by(|a, b| a.0.cmp(&b.0));
    let instrument = store.instrument(account, symbol).await.unwrap().unwrap().fact;
    let mut fold = SymbolFold::new(&instrument);
    let mut trips: Vec<RoundTrip> = Vec::new();
    let mut events = events.into_iter().peekable();
    let mut apply = |fold: &mut SymbolFold, event: FoldEvent<'_>| {
        trips.extend(fold.apply(event).unwrap().closed().map(|closed| closed.record().unwrap()));
    };
    let timed = |fold: &mut SymbolFold, event: Event, apply: &mut dyn FnMut(&mut SymbolFold, FoldEvent<'_>)| match event
    {
        Event::Residual(residual, context) => {
            apply(fold, FoldEvent::Residual { residual: &residual, order: Some(&context) });
        }
        Event::Funding(rows, rate) => apply(fold, FoldEvent::Funding { rows: &rows, rate: rate.as_ref() }),
        Event::Clearance(row) => apply(fold, FoldEvent::Clearance { row: &row, is_alone: true }),
        Event::Anchor(anchor) => apply(fold, FoldEvent::Anchor(&anchor)),
    };
    for fill in &fills {
        while let Some((_, event)) =
            events.next_if(|((at, rank, _), _)| if *rank < 3 { *at <= fill.time.at } else { *at < fill.time.at })
        {
            timed(&mut fold, event, &mut apply);
        }
        let order = fill.order_id.as_ref().and_then(|id| contexts.get(id));
        let by_order = || fill.order_id.as_ref().and_then(|id| sides.get(id)).copied();
        match fill.position_side.or_else(by_order) {
            Some(side) => {
                let fill = &Fill { position_side: Some(side), ..fill.clone() };
                apply(&mut fold, FoldEvent::Fill { fill, order });
            }
            None => fold.doubt(),
        }
    }
    for (_, event) in events {
        timed(&mut fold, event, &mut apply);
    }
    apply(&mut fold, FoldEvent::End);
    trips.extend(fold.open_trips().unwrap());
    trips.sort_by_key(|trip| trip.number);
    let mut lines: Vec<String> = trips.iter().map(|trip| format!("trip {trip:?}")).collect();
    let shown = store.positions(account).await.unwrap();
    for mut position in fold.positions().unwrap() {
        let same = |it: &&BookPosition| it.symbol == *symbol && it.position.position_side == position.position_side;
        let status = shown.iter().find(same).and_then(|it| it.reconcile_status);
        if matches!(status, Some(ReconcileStatus::Mismatch | ReconcileStatus::Unresolved)) {
            position.certainty = position.certainty.max(Certainty::Estimated);
        }
        lines.push(format!("position {position:?}"));
    }
    lines
}

/// The stored counterpart of [`oracle`].
pub(super) async fn stored(store: &dyn Store, account: &AccountId, symbol: &Symbol) -> Vec<String> {
    let filter =
        TripFilter { scope: Scope::symbol(account.clone(), symbol.clone()), engine: None, position_side: None };
    let mut trips = all(|page| store.trips(&filter, page)).await;
    trips.extend(store.open_trips(account).await.unwrap().into_iter().filter(|trip| trip.symbol == *symbol));
    trips.sort_by_key(|trip| trip.number);
    let mut lines: Vec<String> = trips.iter().map(|trip| format!("trip {trip:?}")).collect();
    let positions = store.positions(account).await.unwrap();
    let of_symbol =
        positions.iter().filter(|position| position.symbol == *symbol && position.position.updated_at.is_some());
    lines.extend(of_symbol.map(|position| format!("position {:?}", position.position)));
    lines
}
