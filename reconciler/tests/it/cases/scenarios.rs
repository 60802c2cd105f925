//! The cases: a bot that records all that it does, and a hole in what it recorded.

use std::sync::Arc;
use std::time::Duration;

use exchange_client::simulator::SimulatorConfig;
use exchange_client::{ExchangeReader, NewOrder, OrderRef, Transport};
use ledger_core::{Fill, FillId, OrderClass, PositionMode, Source};
use reconciler::{LabelSources, Reconciler, parse_entry_events, parse_state};

use super::holes::{Ahead, NoLedger};
use super::inferred::Nameless;
use super::money::Rewrites;
use super::scenario::stands;
use super::*;
use crate::cycle::OneBadSymbol;
use crate::support::{Fixture, for_months};

macro_rules! cases {
    ($($(#[doc = $doc:literal])+ $case:ident $test:ident),+ $(,)?) => {
        /// What is missing from the book.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Case {
            $($(#[doc = $doc])+ $case),+
        }

        $(#[tokio::test]
        async fn $test() {
            stands(Case::$case).await;
        })+
    };
}

cases! {
    /// The seed's case A: a signal whose order the book does not know.
    SignalWithoutOrder case_a_stands,
    /// A signal that nothing followed.
    NeverSent a_signal_that_nothing_followed_stands,
    /// A signal that two orders may have followed.
    AmbiguousSignal an_ambiguous_signal_stands,
    /// The seed's cases B and 2: an order without any of its fills.
    MissingFills case_b_stands,
    /// An order without one of its fills.
    MissingPart a_missing_part_stands,
    /// The seed's case C: an open position of which the book knows nothing; its orders say whose they are.
    UnrecordedPosition case_c_stands,
    /// The seed's case 1: the same, and the bot's log of entries says whose it is.
    Unlabelled case_1_stands,
    /// A position from before the exchange's memory.
    ForgottenPosition a_forgotten_position_stands,
    /// The seed's cases D and 3: closed by hand.
    UnrecordedClose case_d_stands,
    /// Closed by a stop that triggered.
    Stopped case_3_stands,
    /// Closed by somebody whom the exchange does not name.
    Nameless a_nameless_close_stands,
    /// The seed's cases E and 4: an order of no strategy, of which the bot's log of entries tells.
    LabelFromLog case_4_stands,
    /// Of which the bot's state tells.
    LabelFromState case_e_stands,
    /// An order of the bot's that was recorded before it was sent, and whose answer was lost.
    UnresolvedIntent an_unresolved_intent_stands,
    /// The same, of an order that never arrived.
    NeverArrived an_order_that_never_arrived_stands,
    /// An order of which the book knows nothing, and a position that it closed.
    UnknownOrder an_unknown_order_stands,
    /// A resting order that filled when nobody looked.
    OrderBehind an_order_behind_stands,
    /// A resting order that was cancelled so long ago that the exchange has forgotten it.
    OrderVanished a_vanished_order_stands,
    /// A fill of which a file told something else.
    ConflictingFill a_conflicting_fill_stands,
    /// A fill that the exchange has never had.
    UnconfirmedFill an_unconfirmed_fill_stands,
    /// Closed for lack of margin.
    Liquidation a_liquidation_stands,
    /// Closed in part against somebody's liquidation.
    Adl an_auto_deleveraging_stands,
    /// Settled by the exchange.
    Settlement a_settlement_stands,
    /// Traded by hand.
    ForeignFills foreign_fills_stand,
    /// Switched to hedge mode, and traded both ways.
    HedgeMode a_change_of_mode_stands,
    /// One leg of a hedge closed by hand.
    HedgeLeg a_leg_of_a_hedge_stands,
    /// A pair of fills that nobody looks far enough back for: the quantity is right, the average entry is not.
    WrongEntry a_wrong_average_entry_stands,
    /// A pair of fills that the exchange has never had.
    UnexplainedEntry an_unexplained_average_entry_stands,
    /// A row that the ledger lacks: a wallet does not add up.
    LostDeposit a_wallet_that_does_not_foot_stands,
    /// A ledger that was not read for so long that the exchange is about to forget it.
    HistoryExpiring expiring_history_stands,
    /// A contract that is off the list.
    Delisted a_delisted_contract_stands,
    /// A stop that is left of a position.
    OrphanOrder an_orphan_order_stands,
    /// A local clock that is off.
    ClockSkew a_skewed_clock_stands,
    /// Not looked at for longer than the exchange remembers.
    HistoryExpired expired_history_stands,
    /// The exchange does not answer for one contract.
    QueryFailed a_failing_query_stands,
    /// Several at once.
    Together several_at_once_stand,
}

impl Case {
    /// A bot that traded and held through funding, whose book is complete and was compared; and then the hole.
    pub(super) async fn hole(self) -> Fixture {
        let seed = 1_000 + self as u64;
        let takes_months = matches!(
            self,
            Self::ForgottenPosition
                | Self::OrderVanished
                | Self::HistoryExpired
                | Self::HistoryExpiring
                | Self::WrongEntry
                | Self::UnexplainedEntry
        );
        let fixture = Fixture::with(if takes_months { for_months(seed) } else { SimulatorConfig::new(seed) }).await;
        if self == Self::ForgottenPosition {
            fixture.unrecorded("old-1", Side::Buy, "3", false).await;
            fixture.simulator.step(Duration::from_hours(24 * 100));
            fixture.unrecorded("new-1", Side::Sell, "1", true).await;
            fixture.pass(3_600);
            fixture.unrecorded("new-2", Side::Buy, "0.5", false).await;
            return fixture;
        }
        for (number, name, side, qty) in
            [(101, "BTCUSDT", Side::Buy, "0.05"), (102, "ETHUSDC", Side::Sell, "1"), (103, "ETHUSDC", Side::Buy, "1")]
        {
            fixture.trade(number, name, side, qty, |_| false).await;
        }
        let first = fixture.sync().await;
        assert!(!first.leaves_discrepancies(), "{:#?}", first.left);
        fixture.assert_book_equals_exchange().await;
        assert!(fixture.simulator.books().accounts[0].income.iter().any(|row| row.income_type == "FUNDING_FEE"));
        self.lose(&fixture).await;
        fixture
    }

    #[expect(clippy::too_many_lines, reason = "a table of the cases")]
    async fn lose(self, fixture: &Fixture) {
        match self {
            Self::SignalWithoutOrder => {
                fixture.signal("s-1", Side::Buy, None).await;
                fixture.pass(1);
                fixture.unrecorded("mine-1", Side::Buy, "2", false).await;
            }
            Self::NeverSent => fixture.signal("s-1", Side::Buy, None).await,
            Self::AmbiguousSignal => {
                fixture.signal("s-1", Side::Buy, None).await;
                fixture.unrecorded("mine-1", Side::Buy, "2", false).await;
                fixture.unrecorded("mine-2", Side::Buy, "3", false).await;
            }
            Self::MissingFills => fixture.trade(1, ETH, Side::Buy, "2", |_| true).await,
            Self::MissingPart => fixture.trade(1, ETH, Side::Buy, "20", |index| index == 0).await,
            Self::UnrecordedPosition => {
                fixture.unrecorded("fb:grid:e:7", Side::Sell, "1.5", false).await;
                fixture.pass(300);
                fixture.unrecorded("fb:grid:d:8", Side::Sell, "0.5", false).await;
            }
            Self::Unlabelled | Self::LabelFromLog | Self::LabelFromState => {
                fixture.unrecorded("plain-1", Side::Buy, "2", false).await;
                if self != Self::Unlabelled {
                    fixture.sync().await;
                }
            }
            Self::UnrecordedClose | Self::Nameless => {
                fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
                fixture.sync().await;
                fixture.pass(3_600);
                fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
            }
            Self::Stopped => {
                fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
                let trigger = fixture.below("50");
                fixture.stop("sl-1", trigger).await;
                fixture.sync().await;
                let beyond = trigger.get().checked_sub("5".parse().unwrap()).unwrap();
                fixture.simulator.set_price(&symbol(ETH), beyond.to_string().parse().unwrap()).unwrap();
            }
            Self::UnresolvedIntent | Self::NeverArrived => {
                let intent = fixture.pending(31, Side::Buy, "2").await;
                if self == Self::UnresolvedIntent {
                    assert!(
                        fixture.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().is_some()
                    );
                }
            }
            Self::UnknownOrder => {
                fixture.unrecorded("mine-1", Side::Buy, "2", false).await;
                fixture.pass(600);
                fixture.unrecorded("mine-2", Side::Sell, "2", true).await;
            }
            Self::OrderBehind => {
                let order = fixture.resting(1, fixture.below("20")).await;
                fixture.sync().await;
                let beyond = order.terms.price.unwrap().get().checked_sub("5".parse().unwrap()).unwrap();
                fixture.simulator.step(Duration::from_hours(9));
                fixture.simulator.set_price(&symbol(ETH), beyond.to_string().parse().unwrap()).unwrap();
            }
            Self::OrderVanished => {
                let order = fixture.resting(1, "100".parse().unwrap()).await;
                fixture.sync().await;
                let reference = OrderRef::Id(OrderClass::Regular, order.key.order_id);
                assert!(fixture.exchange.cancel_order(symbol(ETH), reference).await.done().is_some());
                fixture.simulator.step(Duration::from_hours(24 * 8));
            }
            Self::ConflictingFill => {
                fixture.trade(1, ETH, Side::Buy, "2", |_| true).await;
                fixture.pass(20);
                let query = exchange_client::TradeQuery::FromId("1".parse().unwrap());
                let mut fill =
                    fixture.exchange.fetch_my_trades(symbol(ETH), query).await.unwrap().rows.remove(0).entity;
                fill.price = "1".parse().unwrap();
                fixture.told(fill, Source::ExchangeCsv).await;
            }
            Self::UnconfirmedFill => fixture.told(fixture.made_up(), Source::Bot).await,
            Self::Liquidation | Self::Adl | Self::OrphanOrder => {
                fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
                if self == Self::OrphanOrder {
                    fixture.stop("sl-1", "100".parse().unwrap()).await;
                }
                fixture.sync().await;
                let (eth, side) = (symbol(ETH), PositionSide::Net);
                match self {
                    Self::Liquidation => fixture.simulator.force_liquidation("sim-main", &eth, side).map(drop).unwrap(),
                    Self::Adl => {
                        fixture.simulator.force_adl("sim-main", &eth, side, "0.5".parse().unwrap()).map(drop).unwrap();
                    }
                    _ => fixture.simulator.close_from_app("sim-main", &eth, side).map(drop).unwrap(),
                }
            }
            Self::Settlement => {
                fixture.trade(51, "SOLUSDT", Side::Buy, "9", |_| false).await;
                fixture.sync().await;
                fixture.simulator.settle_contract(&symbol("SOLUSDT")).unwrap();
            }
            Self::ForeignFills => fixture.by_hand("币安人生USDT", Side::Buy, PositionSide::Net, "700"),
            Self::HedgeMode => {
                fixture.simulator.close_from_app("sim-main", &symbol("BTCUSDT"), PositionSide::Net).unwrap();
                fixture.sync().await;
                assert!(fixture.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
                fixture.by_hand(ETH, Side::Buy, PositionSide::Long, "2");
                fixture.by_hand(ETH, Side::Sell, PositionSide::Short, "3");
                fixture.pass(600);
                fixture.by_hand(ETH, Side::Buy, PositionSide::Short, "1");
            }
            Self::HedgeLeg => {
                fixture.simulator.close_from_app("sim-main", &symbol("BTCUSDT"), PositionSide::Net).unwrap();
                fixture.sync().await;
                assert!(fixture.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
                for (number, side, leg) in [(1, Side::Buy, PositionSide::Long), (2, Side::Sell, PositionSide::Short)] {
                    let mut intent = fixture.intent(number, &symbol(ETH), side, "2", None, Some(engine("swing")));
                    intent.position_side = Some(leg);
                    assert!(
                        fixture.recorder().send(&*fixture.exchange, &intent).await.unwrap().unwrap().done().is_some()
                    );
                    fixture.pass(600);
                }
                fixture.sync().await;
                fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Short).unwrap();
            }
            Self::WrongEntry => {
                fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
                fixture.sync().await;
                fixture.simulator.step(Duration::from_hours(24 * 20));
                fixture.move_price("150");
                fixture.unrecorded("unseen-1", Side::Buy, "1", false).await;
                fixture.pass(600);
                fixture.unrecorded("unseen-2", Side::Sell, "1", false).await;
                fixture.simulator.step(Duration::from_hours(24 * 20));
                fixture.take_all_for_read().await;
            }
            Self::UnexplainedEntry => {
                fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
                fixture.simulator.step(Duration::from_hours(24 * 16));
                fixture.sync().await;
                let bought = Fill { time: EventTime::ms(fixture.clock_at(-86_400_000)), ..fixture.made_up() };
                let mut sold = Fill { sequence: Some(987_655), price: "9100".parse().unwrap(), ..bought.clone() };
                (sold.key.fill_id, sold.key.side) = (FillId::new("987655").unwrap(), Side::Sell);
                fixture.told(Fill { price: "9000".parse().unwrap(), ..bought }, Source::Bot).await;
                fixture.told(sold, Source::Bot).await;
            }
            Self::LostDeposit => fixture.simulator.deposit("sim-main", "USDT", "250".parse().unwrap()).unwrap(),
            Self::HistoryExpiring => fixture.simulator.step(Duration::from_hours(24 * 80)),
            Self::Delisted => {
                fixture.trade(1, "SOLUSDT", Side::Buy, "9", |_| false).await;
                fixture.sync().await;
                fixture.trade(2, ETH, Side::Buy, "2", |index| index == 0).await;
                fixture.simulator.delist_contract(&symbol("SOLUSDT")).unwrap();
            }
            Self::ClockSkew | Self::ForgottenPosition => {}
            Self::HistoryExpired => fixture.simulator.step(Duration::from_hours(24 * 120)),
            Self::QueryFailed => {
                fixture.trade(1, ETH, Side::Buy, "2", |_| true).await;
                fixture.trade(2, "SOLUSDT", Side::Buy, "9", |_| true).await;
            }
            Self::Together => {
                for case in [Self::Settlement, Self::SignalWithoutOrder, Self::ForeignFills, Self::UnresolvedIntent] {
                    Box::pin(case.lose(fixture)).await;
                    fixture.pass(900);
                }
                fixture.trade(5, "BTCUSDT", Side::Sell, "0.02", |_| true).await;
                fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
                fixture.unrecorded("fb:grid:e:9", Side::Sell, "1.5", false).await;
            }
        }
    }

    /// Through which the exchange is seen.
    pub(super) fn transport(self, fixture: &Fixture) -> Arc<dyn Transport> {
        let transport = Arc::clone(&fixture.transport);
        match self {
            Self::Nameless => Arc::new(Nameless(transport)),
            // For the first looks, and then it is well again.
            Self::QueryFailed if fixture.since_last_trade_ms() < 60_000 => Arc::new(OneBadSymbol(transport, ETH)),
            Self::LostDeposit => {
                let rewrite = |row: &str| (!row.contains("250.00000000")).then(|| row.to_owned());
                Arc::new(Rewrites { exchange: transport, endpoint: "/income", rewrite })
            }
            Self::HistoryExpiring => Arc::new(NoLedger(transport)),
            _ => transport,
        }
    }

    pub(super) fn configure(self, fixture: &Fixture, reconciler: &mut Reconciler) {
        let labels = &mut reconciler.config.observe.labels;
        match self {
            Self::Unlabelled | Self::LabelFromLog => {
                let opened = fixture.simulator.books().accounts[0]
                    .trades
                    .iter()
                    .find(|trade| trade.symbol == ETH)
                    .unwrap()
                    .time_ms;
                let seconds = opened / 1_000;
                let log =
                    format!(r#"{{"ts": {seconds}, "symbol": "ETH/USDT:USDT", "side": "LONG", "engine": "atlas"}}"#);
                labels.events = parse_entry_events(&log, &jiff::tz::TimeZone::UTC).events;
            }
            Self::LabelFromState => {
                let state = r#"{"ETH/USDT:USDT": {"in_pos": true, "meta": {"reason": "atlas"}}}"#;
                *labels = LabelSources { events: vec![], states: parse_state(state).labels };
            }
            Self::ClockSkew => reconciler.clock = Arc::new(Ahead(Arc::clone(&reconciler.clock))),
            _ => {}
        }
    }
}
