//! The book against the simulator's own books, which share no code with ours.

use std::collections::BTreeMap;

use exchange_client::simulator::{AccountSnapshot, TradeTruth};
use ledger_core::{Decimal, Fill, OrderClass, PositionSide, RoundTrip, Side, Symbol};
use ledger_store::{
    DerivedReader, FactReader, FillFilter, IncomeFilter, OrderFilter, PageRequest, ReconcileStatus, Scope, TripFilter,
};

use crate::support::Fixture;

/// The exchange rounds entries and each trade's profit to 8 decimals.
fn rounding() -> Decimal {
    "0.00000001".parse().unwrap()
}

fn add(total: &mut Decimal, amount: Decimal) {
    *total = total.checked_add(amount).unwrap();
}

#[track_caller]
fn assert_near(found: Decimal, known: Decimal, roundings: usize, what: &str) {
    let slack = rounding().checked_mul(Decimal::from(i64::try_from(roundings).unwrap())).unwrap();
    let difference = found.checked_sub(known).unwrap();
    assert!(difference.abs() <= slack, "{what}: {found} instead of {known}");
}

/// The exchange's own books of an account, of all contracts but perhaps one.
struct Truth<'a> {
    of: AccountSnapshot,
    unread: &'a str,
}

impl Truth<'_> {
    fn has(&self, symbol: &Symbol) -> bool {
        symbol.as_str() != self.unread
    }
}

impl std::ops::Deref for Truth<'_> {
    type Target = AccountSnapshot;

    fn deref(&self) -> &AccountSnapshot {
        &self.of
    }
}

impl Fixture {
    pub(crate) async fn book_fills(&self) -> Vec<Fill> {
        let filter = FillFilter::from(Scope::account(self.account.clone()));
        let page = self.store.fills(&filter, PageRequest::first(5_000)).await.unwrap();
        page.items.into_iter().map(|fill| fill.fact).collect()
    }

    /// The book says exactly what the simulator's books say.
    pub(crate) async fn assert_book_equals_exchange(&self) {
        self.assert_equal_but("").await;
    }

    /// The same of all contracts but one.
    pub(crate) async fn assert_equal_but(&self, unread: &str) {
        let mut truth = self.simulator.books().accounts.remove(0);
        truth.trades.retain(|trade| trade.symbol != unread);
        truth.orders.retain(|order| order.symbol != unread);
        truth.income.retain(|row| unread.is_empty() || row.symbol != unread);
        truth.positions.retain(|held| held.symbol != unread);
        let truth = Truth { of: truth, unread };
        let truth = &truth;
        self.assert_fills(truth).await;
        self.assert_orders(truth).await;
        self.assert_conditionals(truth).await;
        self.assert_ledger(truth).await;
        self.assert_positions(truth).await;
        self.assert_trips(truth).await;
    }

    /// What is held, and at which average entries.
    pub(crate) async fn assert_positions_equal(&self) {
        let books = self.simulator.books();
        let known = &books.accounts[0].positions;
        let held = self.store.positions(&self.account).await.unwrap();
        let held: Vec<_> = held.iter().filter(|held| !held.position.qty.is_zero()).collect();
        assert_eq!(held.len(), known.len());
        for (held, known) in held.into_iter().zip(known) {
            let position = &held.position;
            assert_eq!((held.symbol.as_str(), position.position_side), (known.symbol.as_str(), known.position_side));
            assert_eq!(position.qty, known.qty, "{}", held.symbol);
            // Derived back from what was realized: as exact as that is.
            assert_near(position.entry_price_avg.unwrap(), known.entry_price, 10_000, held.symbol.as_str());
        }
    }

    async fn assert_fills(&self, truth: &Truth<'_>) {
        let mut fills = self.book_fills().await;
        fills.retain(|fill| truth.has(&fill.key.symbol));
        fills.sort_by_key(|fill| (fill.key.symbol.clone(), fill.sequence));
        assert_eq!(fills.len(), truth.trades.len());
        for (fill, known) in fills.iter().zip(&truth.trades) {
            assert_eq!((fill.key.symbol.as_str(), fill.sequence), (known.symbol.as_str(), Some(known.id)));
            assert_eq!((fill.price.get(), fill.qty.get()), (known.price, known.qty));
            assert_eq!((fill.key.side == Side::Buy, fill.time.at.as_ms()), (known.buy, known.time_ms));
            assert_eq!(fill.order_id.as_ref().unwrap().as_str(), known.order_id.to_string());
            assert_eq!(fill.position_side, Some(known.position_side));
            assert_eq!(fill.exchange_realized_pnl, Some(known.realized));
            let fee = fill.fee.as_ref().unwrap();
            assert_eq!((fee.amount, fee.asset.as_str()), (known.fee, known.fee_asset.as_str()));
        }
    }

    /// Every order that executed is there, and every order that is there is as the exchange knows it.
    async fn assert_orders(&self, truth: &Truth<'_>) {
        let filter = OrderFilter::from(Scope::account(self.account.clone()));
        let page = self.store.orders(&filter, PageRequest::first(5_000)).await.unwrap();
        let mut regular: BTreeMap<(String, String), _> = BTreeMap::new();
        for order in page.items.into_iter().map(|order| order.order.fact) {
            if order.key.class == OrderClass::Regular && truth.has(&order.key.symbol) {
                regular.insert((order.key.symbol.to_string(), order.key.order_id.to_string()), order);
            }
        }
        for known in &truth.orders {
            let Some(order) = regular.remove(&(known.symbol.clone(), known.id.to_string())) else {
                assert!(known.executed.is_zero(), "order {} of {} is missing", known.id, known.symbol);
                continue;
            };
            assert_eq!(order.status.as_str(), known.status, "{} {}", known.symbol, known.id);
            let executed = order.executed.as_ref().map_or(Decimal::ZERO, |execution| execution.qty);
            assert_eq!(executed, known.executed, "{} {}", known.symbol, known.id);
        }
        assert!(regular.is_empty(), "orders that the exchange has never seen: {:?}", regular.keys());
    }

    /// The same of conditional orders: those that wait or became an order are there, with the order that each became.
    async fn assert_conditionals(&self, truth: &Truth<'_>) {
        let filter = OrderFilter::from(Scope::account(self.account.clone()));
        let page = self.store.orders(&filter, PageRequest::first(5_000)).await.unwrap();
        let orders = page.items.into_iter().map(|order| order.order.fact);
        let orders = orders.filter(|order| order.key.class == OrderClass::Conditional && truth.has(&order.key.symbol));
        let mut conditional: BTreeMap<String, _> =
            orders.map(|order| (order.key.order_id.to_string(), order)).collect();
        for known in truth.conditionals.iter().filter(|known| truth.unread != known.symbol) {
            let Some(order) = conditional.remove(&known.id.to_string()) else {
                let is_nothing = known.status != "NEW" && known.order_id.is_none();
                assert!(is_nothing, "conditional order {} of {} is missing", known.id, known.symbol);
                continue;
            };
            assert_eq!(order.status.as_str(), known.status, "{} {}", known.symbol, known.id);
            let became = order.triggered_order_id.as_ref().map(ToString::to_string);
            assert_eq!(became, known.order_id.map(|id| id.to_string()), "{} {}", known.symbol, known.id);
            let id = order.client_order_id.as_ref().map(ToString::to_string);
            assert_eq!(id.as_ref(), Some(&known.client_algo_id), "{} {}", known.symbol, known.id);
        }
        assert!(
            conditional.is_empty(),
            "conditional orders that the exchange has never seen: {:?}",
            conditional.keys()
        );
    }

    async fn assert_ledger(&self, truth: &Truth<'_>) {
        let filter = IncomeFilter { scope: Scope::account(self.account.clone()), income_type: None };
        let page = self.store.income(&filter, PageRequest::first(5_000)).await.unwrap();
        let mut booked: Vec<_> = page
            .items
            .into_iter()
            .map(|row| row.fact)
            .filter(|row| row.key.symbol.as_ref().is_none_or(|symbol| truth.has(symbol)))
            .map(|row| (row.key.income_type.to_string(), row.key.asset.to_string(), row.time.at.as_ms(), row.amount))
            .collect();
        let mut known: Vec<_> = truth
            .income
            .iter()
            .map(|row| (row.income_type.clone(), row.asset.clone(), row.time_ms, row.amount))
            .collect();
        booked.sort();
        known.sort();
        assert_eq!(booked, known);
    }

    async fn assert_positions(&self, truth: &Truth<'_>) {
        let mut realized: BTreeMap<String, Decimal> = BTreeMap::new();
        let mut paid: BTreeMap<(&str, String), Decimal> = BTreeMap::new();
        let mut open = 0;
        let held = self.store.positions(&self.account).await.unwrap();
        for held in held.into_iter().filter(|held| truth.has(&held.symbol)) {
            let position = &held.position;
            add(realized.entry(held.settle_asset.to_string()).or_default(), position.realized.amount().unwrap());
            for (what, totals) in [("fees", &position.fees), ("funding", &position.funding)] {
                for line in totals {
                    add(paid.entry((what, line.asset.to_string())).or_default(), line.total.amount().unwrap());
                }
            }
            let known = truth
                .positions
                .iter()
                .find(|known| known.symbol == held.symbol.as_str() && known.position_side == position.position_side);
            assert_eq!(position.qty, known.map_or(Decimal::ZERO, |known| known.qty), "{}", held.symbol);
            if let Some(known) = known {
                assert_near(position.entry_price_avg.unwrap(), known.entry_price, 1, held.symbol.as_str());
                assert_eq!(held.reconcile_status, Some(ReconcileStatus::Matched), "{}", held.symbol);
                open += 1;
            }
        }
        assert_eq!(open, truth.positions.len());
        // Fees and funding to the last digit. A payment that no position was held for would be missing here.
        for (asset, total) in truth.income_total("COMMISSION").unwrap() {
            assert_eq!(paid.get(&("fees", asset.clone())), Some(&-total), "{asset}");
        }
        for (asset, total) in truth.income_total("FUNDING_FEE").unwrap() {
            assert_eq!(paid.get(&("funding", asset.clone())), Some(&total), "{asset}");
        }
        for (asset, total) in truth.income_total("REALIZED_PNL").unwrap() {
            assert_near(realized[&asset], total, truth.trades.len(), &asset);
        }
    }

    /// Round trips, as the trades of the exchange's own books end at zero.
    async fn assert_trips(&self, truth: &Truth<'_>) {
        let scope = Scope::account(self.account.clone());
        let filter = TripFilter { scope, engine: None, position_side: None };
        let mut trips = self.store.trips(&filter, PageRequest::first(5_000)).await.unwrap().items;
        trips.retain(|trip| truth.has(&trip.symbol));
        let closed = trips.len();
        trips.extend(self.store.open_trips(&self.account).await.unwrap());
        trips.retain(|trip| truth.has(&trip.symbol));
        assert!(trips[..closed].iter().all(|trip| trip.closed_at.is_some()));
        let key =
            |trip: &RoundTrip| (trip.symbol.to_string(), trip.position_side, trip.closed_at.is_none(), trip.number);
        trips.sort_by_key(key);
        let expected = trips_of(&truth.trades);
        assert_eq!(trips.len(), expected.len(), "{expected:#?}");
        let (mut paid, mut funded) = (BTreeMap::<String, Decimal>::new(), BTreeMap::<String, Decimal>::new());
        for (trip, known) in trips.iter().zip(&expected) {
            assert_eq!((trip.symbol.as_str(), trip.position_side), (known.symbol.as_str(), known.position_side));
            assert_eq!(trip.opened_at.unwrap().as_ms(), known.opened_ms, "{}", known.symbol);
            assert_eq!(trip.closed_at.map(ledger_core::TimestampMs::as_ms), known.closed_ms, "{}", known.symbol);
            assert_eq!((trip.entry_qty, trip.exit_qty), (known.entered, known.left), "{}", known.symbol);
            assert_eq!(trip.fill_count, known.fills, "{}", known.symbol);
            assert_near(trip.gross.amount().unwrap(), known.realized, truth.trades.len(), &known.symbol);
            for (lines, totals) in [(&trip.fees, &mut paid), (&trip.funding, &mut funded)] {
                for line in lines {
                    add(totals.entry(line.asset.to_string()).or_default(), line.total.amount().unwrap());
                }
            }
        }
        assert_eq!(funded, truth.income_total("FUNDING_FEE").unwrap());
        let commission = truth.income_total("COMMISSION").unwrap();
        let commission: BTreeMap<_, _> = commission.into_iter().map(|(asset, total)| (asset, -total)).collect();
        assert_eq!(paid, commission);
    }
}

/// A round trip as the exchange's trades tell it.
#[derive(Debug)]
struct TripTruth {
    symbol: String,
    position_side: PositionSide,
    opened_ms: i64,
    closed_ms: Option<i64>,
    entered: Decimal,
    left: Decimal,
    realized: Decimal,
    fills: u64,
}

/// In the order of symbols and sides, and of their ends. The trades are in the order of symbols and ids.
fn trips_of(trades: &[TradeTruth]) -> Vec<TripTruth> {
    let mut of_position: BTreeMap<(String, PositionSide), (Decimal, Vec<TripTruth>)> = BTreeMap::new();
    for trade in trades {
        let key = (trade.symbol.clone(), trade.position_side);
        let (held, trips) = of_position.entry(key).or_default();
        let signed = if trade.buy { trade.qty } else { -trade.qty };
        let closes = !held.is_zero() && held.is_negative() != signed.is_negative();
        let closed = if closes { trade.qty.min(held.abs()) } else { Decimal::ZERO };
        add(held, signed);
        if closes {
            let trip = trips.last_mut().unwrap();
            add(&mut trip.left, closed);
            add(&mut trip.realized, trade.realized);
            trip.fills += 1;
            if closed < trade.qty || held.is_zero() {
                trip.closed_ms = Some(trade.time_ms);
            }
        }
        let entered = trade.qty.checked_sub(closed).unwrap();
        if entered.is_zero() {
            continue;
        }
        if trips.last().is_none_or(|trip| trip.closed_ms.is_some()) {
            trips.push(TripTruth {
                symbol: trade.symbol.clone(),
                position_side: trade.position_side,
                opened_ms: trade.time_ms,
                closed_ms: None,
                entered: Decimal::ZERO,
                left: Decimal::ZERO,
                realized: Decimal::ZERO,
                fills: 0,
            });
        }
        let trip = trips.last_mut().unwrap();
        add(&mut trip.entered, entered);
        trip.fills += 1;
    }
    of_position.into_values().flat_map(|(_, trips)| trips).collect()
}
