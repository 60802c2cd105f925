//! Stated positions and files: an export that was imported before a position was stated, and one that comes later.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::simulator::{Simulator, SimulatorConfig, TradeTruth};
use exchange_client::{Clock, ExchangeTrader, ManualClock, NewOrder, OrderKind, OrderSize};
use ledger_core::{AccountId, Anchor, ClientOrderId, Decimal, PositionSide, Side, Symbol, TimestampMs};
use ledger_store::{DerivedReader, FactReader, OpenOptions, PageRequest, Scope, SqliteStore};
use reconciler::{Reconciler, ReconcilerConfig};

use crate::support::{Sandbox, simulated};

struct World {
    simulator: Arc<Simulator>,
    clock: Arc<ManualClock>,
    exchange: Arc<BinanceUsdm>,
    sandbox: Sandbox,
}

fn eth() -> Symbol {
    Symbol::new("ETHUSDT").unwrap()
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

impl World {
    /// Four orders an hour apart, which hold 3, 5, 4 and 6, and another one when the exchange has forgotten them.
    async fn new(seed: u64) -> Self {
        let config = SimulatorConfig { weight_1m_max: None, tick_ms: 600_000, ..SimulatorConfig::new(seed) };
        let (simulator, clock, exchange) = simulated(config);
        let world = Self { simulator, clock, exchange, sandbox: Sandbox::with_book(&[]) };
        for (side, qty) in [(Side::Buy, "3"), (Side::Buy, "2"), (Side::Sell, "1"), (Side::Buy, "2")] {
            world.trade(side, qty).await;
            world.simulator.step(Duration::from_hours(1));
        }
        world.simulator.step(Duration::from_hours(24 * 100));
        world.trade(Side::Sell, "1").await;
        world
    }

    async fn trade(&self, side: Side, qty: &str) {
        let order = NewOrder {
            client_order_id: ClientOrderId::new(format!("by-hand-{}", self.clock.now())).unwrap(),
            symbol: eth(),
            side,
            position_side: PositionSide::Net,
            kind: OrderKind::Market,
            size: OrderSize::Qty(qty.parse().unwrap()),
            reduce_only: false,
        };
        assert!(self.exchange.create_order(order).await.done().is_some());
    }

    /// Imports the fills of these orders, as the exchange's archive has them.
    fn import(&self, orders: &[usize]) {
        let books = self.simulator.books();
        let trades = &books.accounts[0].trades;
        let mut ids: Vec<i64> = trades.iter().map(|trade| trade.order_id).collect();
        ids.dedup();
        let wanted: Vec<i64> = orders.iter().map(|number| ids[*number]).collect();
        let mut text = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,\
                        realizedPnl,maker,time\n"
            .to_owned();
        for trade in trades.iter().filter(|trade| wanted.contains(&trade.order_id)) {
            let TradeTruth { symbol, id, order_id, price, qty, fee, fee_asset, realized, maker, time_ms, .. } = trade;
            let side = if trade.buy { "BUY" } else { "SELL" };
            let quote = price.checked_mul(*qty).unwrap();
            let _ = writeln!(
                text,
                "{symbol},{id},{order_id},{side},BOTH,{price},{qty},{quote},{fee},{fee_asset},USDT,{realized},{maker},{time_ms}"
            );
        }
        let name = format!("trades-{orders:?}.csv").replace([' ', '[', ']'], "");
        let path = self.sandbox.write(&name, text);
        self.sandbox.run(&["import", path.to_str().unwrap()]).exits(0);
    }

    /// Looks twice, as far apart as inferences wait; answers what is stated then.
    async fn look(&self) -> Vec<(TimestampMs, Decimal)> {
        let store = SqliteStore::open(
            self.sandbox.path().join("fillbook.db"),
            &OpenOptions::inline().with_rules(
                exchange_client::binance_usdm::VENUE.name,
                exchange_client::binance_usdm::VENUE.ledger_rules,
            ),
        )
        .unwrap();
        let (store, account) = (Arc::new(store), AccountId::new("main").unwrap());
        for _ in 0..2 {
            self.simulator.step(Duration::from_secs(20));
            let reconciler = Reconciler {
                exchange: Arc::clone(&self.exchange) as _,
                book: store.clone(),
                clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
                config: ReconcilerConfig::new(account.clone()),
            };
            reconciler.sync().await.unwrap();
        }
        let held = store.positions(&account).await.unwrap().remove(0).position;
        assert_eq!(held.qty, dec("5"), "whatever is stated, it leads to what is held");
        let anchors = store.anchors(&Scope::account(account), PageRequest::first(100)).await.unwrap().items;
        let live = anchors.into_iter().map(|known| known.fact).filter(|anchor| anchor.withdrawn.is_none());
        live.map(|Anchor { at, qty, .. }| (at, qty)).collect()
    }

    /// When an order was executed first.
    fn begin(&self, order: usize) -> TimestampMs {
        let books = self.simulator.books();
        let trades = &books.accounts[0].trades;
        let mut ids: Vec<i64> = trades.iter().map(|trade| trade.order_id).collect();
        ids.dedup();
        TimestampMs::new(trades.iter().find(|trade| trade.order_id == ids[order]).unwrap().time_ms).unwrap()
    }
}

#[tokio::test]
async fn a_stated_position_stays_behind_a_file_that_was_there_before_it() {
    let world = World::new(301).await;
    // One row of one side: nothing says that this is all of its time.
    world.import(&[1]);
    let stated = world.look().await;
    assert_eq!(stated.iter().map(|(_, qty)| *qty).collect::<Vec<_>>(), [dec("6")]);
    assert!(stated[0].0 > world.begin(3));
    // What lies in front of the file explains a part; the rest may have come before or after it.
    world.import(&[0]);
    assert_eq!(world.look().await, stated);
    // What lies behind it was missing there.
    world.import(&[3]);
    assert_eq!(world.look().await, [(world.begin(3), dec("4"))]);
    world.import(&[2]);
    assert_eq!(world.look().await, []);
}

#[tokio::test]
async fn a_stated_position_moves_in_front_of_a_file_that_comes_later() {
    let world = World::new(302).await;
    let stated = world.look().await;
    assert_eq!(stated.iter().map(|(_, qty)| *qty).collect::<Vec<_>>(), [dec("6")]);
    // Both sides in order: the file has all of its time, and that is news.
    world.import(&[2, 3]);
    assert_eq!(world.look().await, [(world.begin(2), dec("5"))]);
    world.import(&[0, 1]);
    assert_eq!(world.look().await, []);
}
