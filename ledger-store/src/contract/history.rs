//! Random histories, the same for the same seed.

use std::collections::BTreeMap;

use ledger_core::{
    Anchor, AnyFact, Asset, BalanceSnapshot, Cancel, ClientOrderId, Condition, EngineLabel, EventTime, ExitReason,
    Fill, FillId, FillKey, IntentOutcome, IntentRole, Label, Order, OrderClass, OrderIntent, OrderKey, Origin,
    PositionMode, PositionModeSnapshot, PositionSide, PositionSnapshot, Side, Signal, SignalId, SignalKind, Source,
    StatedFees, Statement,
};

use ledger_core::testing::{self, funding_rate, kline_close};

use super::fixtures::{at, by, dec, funding, linear, mark_price, of_order, order, rest, said, symbol, usdt};

/// A small generator of random numbers (`SplitMix64`), so that a seed names a history.
#[derive(Debug, Clone)]
pub struct History {
    state: u64,
    /// What each position holds, in tenths, so that some fills close one exactly.
    held: BTreeMap<(String, Option<PositionSide>), i64>,
}

impl History {
    /// The history of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), held: BTreeMap::new() }
    }

    /// The next random number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// The same statements in another order.
    pub fn shuffle(&mut self, statements: &mut [Statement]) {
        for end in (1..statements.len()).rev() {
            let other = self.below(end + 1);
            statements.swap(end, other);
        }
    }

    /// A life of two symbols, one of them in hedge mode: fills of several sources, some of them coarser or in conflict,
    /// orders that say more or less than their fills, funding, an anchor, and what the exchange says now and then.
    pub fn statements(&mut self, fill_count: usize) -> Vec<Statement> {
        let mut statements =
            vec![rest(AnyFact::Instrument(linear("ETHUSDT"))), rest(AnyFact::Instrument(linear("BTCUSDT")))];
        for index in 0..fill_count {
            let id = i64::try_from(index).unwrap() + 1;
            let is_hedged = self.chance(2);
            let name = if is_hedged { "BTCUSDT" } else { "ETHUSDT" };
            let fill = self.fill(name, id, is_hedged);
            self.states_fill(&fill, &mut statements);
            if self.chance(3) {
                self.states_order(&fill, id, &mut statements);
            }
            if self.chance(9) {
                let amount = format!("-0.{:02}", self.below(99) + 1);
                statements.push(rest(AnyFact::Income(funding(name, &format!("f{id}"), &amount, id))));
                statements.push(rest(AnyFact::FundingRate(funding_rate(name, "0.0001", Some("95.5"), id * 1_000))));
            }
            if self.chance(14) {
                let mut charge = funding(name, &format!("i{id}"), &format!("-0.{:02}", self.below(99) + 1), id / 3);
                charge.key.income_type = "INSURANCE_CLEAR".parse().unwrap();
                statements.push(rest(AnyFact::Income(charge)));
            }
            if self.chance(12) {
                statements.push(rest(AnyFact::Position(said(name, &(self.below(9)).to_string(), id))));
                statements.push(rest(AnyFact::Price(mark_price(name, &format!("{}.5", 90 + self.below(20)), id))));
                statements.push(rest(AnyFact::Price(kline_close(name, "1", id / 60))));
            }
            if self.chance(15) {
                statements.push(rest(AnyFact::Signal(self.signal(name, id))));
            }
        }
        if self.chance(2) {
            statements.push(by(
                Source::Repair,
                AnyFact::Anchor(Anchor {
                    symbol: symbol("ETHUSDT"),
                    position_side: PositionSide::Net,
                    at: at(500),
                    qty: dec("2"),
                    entry_price: Some("95".parse().unwrap()),
                    derivation: Label::new("the first position that the exchange stated").unwrap(),
                    known_before: None,
                    withdrawn: None,
                }),
            ));
        }
        statements.push(rest(AnyFact::Balance(BalanceSnapshot {
            asset: Asset::new("USDT").unwrap(),
            at: at(1),
            wallet: dec("1000"),
        })));
        statements.push(rest(AnyFact::Position(PositionSnapshot {
            position_side: PositionSide::Long,
            ..said("BTCUSDT", "1", 100_000)
        })));
        statements
    }

    /// What others tell about the fills of a history: the exchange's ledger about their fees, conditional orders,
    /// intents and signals about their orders, and the exchange about the position mode.
    pub fn told_elsewhere(&mut self, statements: &mut Vec<Statement>) {
        let fills: Vec<Fill> = statements
            .iter()
            .filter_map(|it| match &it.fact {
                AnyFact::Fill(fill) if it.source == Source::Rest => Some(fill.clone()),
                _ => None,
            })
            .collect();
        for (index, fill) in fills.iter().enumerate() {
            let name = fill.key.symbol.as_str();
            let parts = if self.chance(3) { 1 + self.below(2) } else { 0 };
            for part in 0..parts {
                let amount = fill.fee.as_ref().map(|fee| if self.chance(3) { fee.amount } else { -fee.amount });
                let mut entry = funding(name, &format!("c{index}-{part}"), "0", 1);
                entry.key.income_type = "COMMISSION".parse().unwrap();
                (entry.amount, entry.fill_id) = (amount.unwrap(), Some(fill.key.fill_id.clone()));
                statements.push(rest(AnyFact::Income(entry)));
            }
            let Some(order_id) = fill.order_id.clone().filter(|_| self.chance(3)) else { continue };
            let client = ClientOrderId::new(format!("c{}", self.below(9))).unwrap();
            let mut regular = order(name, order_id.as_str(), fill.key.side, "0", "100", 9);
            (regular.executed, regular.position_side) = (None, None);
            regular.client_order_id = Some(client.clone());
            statements.push(rest(AnyFact::Order(regular.clone())));
            if self.chance(2) {
                let mut waiting = Order { client_order_id: Some(client.clone()), ..regular };
                waiting.key.class = OrderClass::Conditional;
                waiting.key.order_id = format!("9{index}").parse().unwrap();
                waiting.condition = Some(Condition::TakeProfit);
                waiting.triggered_order_id = self.chance(2).then_some(order_id);
                waiting.position_side = fill.position_side.filter(|_| self.chance(2));
                waiting.engine = self.chance(2).then(|| EngineLabel::new("waiting").unwrap());
                statements.push(rest(AnyFact::Order(waiting)));
            }
            let role = if self.chance(2) { IntentRole::StopLoss } else { IntentRole::Exit };
            statements.push(by(Source::Bot, AnyFact::Intent(self.intent(name, client, role))));
        }
        for second in [0, 7, 1_000] {
            if self.chance(2) {
                let mode = if self.chance(3) { PositionMode::Hedge } else { PositionMode::OneWay };
                statements.push(rest(AnyFact::PositionMode(PositionModeSnapshot { at: at(second * 1_000), mode })));
            }
        }
    }

    fn intent(&mut self, name: &str, client_order_id: ClientOrderId, role: IntentRole) -> OrderIntent {
        OrderIntent {
            client_order_id,
            symbol: symbol(name),
            class: OrderClass::Regular,
            side: Side::Sell,
            position_side: None,
            role,
            dca_step: 0,
            attempt: 0,
            order_type: Label::new("MARKET").unwrap(),
            qty: None,
            price: None,
            trigger_price: None,
            reduce_only: false,
            signal_id: self.chance(2).then(|| SignalId::new(format!("s{}", self.below(60))).unwrap()),
            engine: self.chance(3).then(|| EngineLabel::new("intent").unwrap()),
            created_local: at(1),
            outcome: IntentOutcome::Pending,
        }
    }

    fn fill(&mut self, name: &str, id: i64, is_hedged: bool) -> Fill {
        let price = format!("{}.{:02}", 90 + self.below(20), self.below(100));
        let position_side = match (is_hedged, self.below(8)) {
            (_, 0) => None,
            (false, _) => Some(PositionSide::Net),
            (true, 1..=4) => Some(PositionSide::Long),
            (true, _) => Some(PositionSide::Short),
        };
        let held = self.held.get(&(name.to_owned(), position_side)).copied().unwrap_or(0);
        let (side, tenths) = if held != 0 && self.chance(3) {
            (if held > 0 { Side::Sell } else { Side::Buy }, held.abs())
        } else {
            let side = if self.chance(2) { Side::Buy } else { Side::Sell };
            (side, i64::try_from(self.below(40)).unwrap() + 1)
        };
        let qty = format!("{}.{}", tenths / 10, tenths % 10);
        let after = held + if side == Side::Buy { tenths } else { -tenths };
        self.held.insert((name.to_owned(), position_side), after);
        // Several fills share a second, and ids are not as wide as each other.
        let time = EventTime::ms(at(id / 3 * 1_000 + i64::try_from(self.below(999)).unwrap()));
        Fill {
            key: FillKey { symbol: symbol(name), fill_id: FillId::new((id * 7).to_string()).unwrap(), side },
            order_id: None,
            time,
            price: price.parse().unwrap(),
            qty: qty.parse().unwrap(),
            position_side,
            fee: Some(usdt(&format!("0.0{}", self.below(90) + 1))),
            maker: Some(self.chance(2)),
            exchange_realized_pnl: self.chance(20).then(|| dec("0")),
            sequence: (name == "ETHUSDT").then_some(id * 7),
        }
    }

    /// The fill, perhaps of an order, by one or two sources.
    fn states_fill(&mut self, fill: &Fill, statements: &mut Vec<Statement>) {
        let group = fill.key.fill_id.as_sequence().unwrap() / 21;
        let fill = if self.chance(4) { fill.clone() } else { of_order(fill.clone(), &group.to_string()) };
        if self.chance(4) {
            let mut coarse = fill.clone();
            coarse.time = EventTime::seconds(fill.time.at);
            (coarse.order_id, coarse.fee, coarse.position_side, coarse.sequence) = (None, None, None, None);
            statements.push(by(Source::ExchangeCsv, AnyFact::Fill(coarse)));
        }
        if self.chance(20) {
            let mut wrong = fill.clone();
            wrong.price = "1".parse().unwrap();
            statements.push(by(Source::Ccxt, AnyFact::Fill(wrong)));
        }
        statements.push(rest(AnyFact::Fill(fill)));
    }

    fn states_order(&mut self, fill: &Fill, id: i64, statements: &mut Vec<Statement>) {
        let group = (fill.key.fill_id.as_sequence().unwrap() / 21).to_string();
        let name = fill.key.symbol.as_str();
        let executed = if self.chance(3) { self.below(9) } else { 0 }.to_string();
        let mut stated = order(name, &group, fill.key.side, &executed, "100.25", id / 3);
        stated.position_side = fill.position_side;
        if self.chance(2) {
            let fees = (0..=self.below(2)).map(|_| {
                testing::fee(&format!("0.{:02}", self.below(99)), if self.chance(3) { "BNB" } else { "USDT" })
            });
            stated.fees = StatedFees::new(dec(&executed), fees.collect::<Vec<_>>()).unwrap();
        }
        if self.chance(2) {
            stated.engine = Some(EngineLabel::new(format!("engine{}", self.below(3))).unwrap());
        }
        if self.chance(3) {
            stated.exit_reason = Some(ExitReason::StopLoss);
        }
        let mut source = if self.chance(2) { Source::Rest } else { Source::Stream };
        if self.chance(3) {
            stated.origin = Some(Origin::ALL[self.below(6)]);
        }
        if self.chance(4) {
            stated.condition = Some(Condition::Stop);
        }
        if self.chance(3) {
            stated.status = ["CANCELED", "EXPIRED", "NEW"][self.below(3)].parse().unwrap();
        }
        if self.chance(4) {
            // What fillbook inferred.
            let mut inferred = Order::known_from_fill(stated.key.clone(), stated.side, None);
            inferred.exit_reason = Some(ExitReason::ManualClose);
            statements.push(by(Source::Repair, AnyFact::Order(inferred)));
        }
        if self.chance(6) {
            source = Source::Ccxt;
        }
        statements.push(by(source, AnyFact::Order(stated)));
        if self.chance(5) {
            statements.push(rest(AnyFact::Cancel(Cancel {
                key: OrderKey {
                    symbol: symbol(name),
                    class: OrderClass::Conditional,
                    order_id: group.parse().unwrap(),
                },
                side: None,
                time: EventTime::ms(at(id * 1_000)),
                reason: None,
            })));
        }
    }

    fn signal(&mut self, name: &str, id: i64) -> Signal {
        Signal {
            signal_id: SignalId::new(format!("s{id}")).unwrap(),
            time: EventTime::ms(at(id * 1_000)),
            skew_ms: None,
            symbol: symbol(name),
            side: Side::Buy,
            kind: SignalKind::Entry,
            engine: Some(EngineLabel::new("engine1").unwrap()),
            reason: None,
            skipped: None,
            meta_json: None,
            restored: self.chance(2),
        }
    }
}
