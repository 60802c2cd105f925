//! A small bot: it trades on the simulated exchange, records as it goes, and loses some of its records on purpose.

use std::time::Duration;

use exchange_client::{NewOrder, OrderKind, SendOutcome, Stated, TradeQuery};
use ledger_core::{
    ClientOrderId, Decimal, EngineLabel, EventTime, Fill, IntentOutcome, IntentRole, Label, Order, OrderClass,
    OrderIntent, PositionSide, Quantity, Side, Signal, SignalId, SignalKind, Symbol,
};
use reconciler::Recorder;

use crate::error::{CommandError, ExitCode};
use crate::wiring::DemoWorld;

/// What a strategy trades, and how much at a time.
const STRATEGIES: [(&str, &str, Side, &str); 3] = [
    ("breakout", "BTCUSDT", Side::Buy, "0.02"),
    ("reversion", "ETHUSDT", Side::Sell, "0.5"),
    ("breakout", "SOLUSDT", Side::Buy, "12"),
];
const ROUNDS: u64 = 4;

/// What happened.
pub(super) struct Session {
    pub(super) order_count: u64,
    pub(super) fill_count: u64,
    /// What was lost, in words.
    pub(super) losses: Vec<String>,
}

/// The bot.
pub(super) struct Bot<'a> {
    world: &'a DemoWorld,
    recorder: Recorder,
    random: Random,
    session: Session,
    dropped_fills: u64,
}

/// What is lost of an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Nothing.
    None,
    /// The fills: the stream dropped them.
    Fills,
    /// Everything after sending: the bot crashed before it could record the answer.
    Answer,
    /// Everything: somebody traded by hand, and the bot never knew.
    Everything,
}

/// What the bot wants to trade.
struct Wish<'a> {
    engine: &'a str,
    symbol: &'a Symbol,
    side: Side,
    qty: Quantity,
    role: IntentRole,
    step: u32,
    name: String,
}

impl<'a> Bot<'a> {
    pub(super) fn new(world: &'a DemoWorld, recorder: Recorder, seed: u64) -> Self {
        let session = Session { order_count: 0, fill_count: 0, losses: Vec::new() };
        Self { world, recorder, random: Random(seed), session, dropped_fills: 0 }
    }

    /// Trades for some hours of the exchange's time.
    pub(super) async fn trade(mut self) -> Result<Session, CommandError> {
        self.load_contracts().await?;
        // Which order the crash and the hand strike; the rest of the losses is chance.
        let (crash, hand) = (self.random.below(3), self.random.below(3));
        for round in 0..ROUNDS {
            for (at, (engine, symbol, side, qty)) in STRATEGIES.into_iter().enumerate() {
                let symbol = Symbol::new(symbol).map_err(broken)?;
                let qty: Quantity = qty.parse().map_err(broken)?;
                let at = at as u64;
                let entry_loss = if round == 1 && at == crash { Loss::Answer } else { self.chance() };
                let wish = |role, side, qty, step| Wish {
                    engine,
                    symbol: &symbol,
                    side,
                    qty,
                    role,
                    step,
                    name: format!("fb-{engine}-{round}-{at}-{}{step}", role.as_str()),
                };
                self.order(wish(IntentRole::Entry, side, qty, 0), entry_loss).await?;
                self.pause(35);
                let mut open = qty.get();
                if self.random.below(2) == 0 {
                    let loss = self.chance();
                    self.order(wish(IntentRole::Dca, side, qty, 1), loss).await?;
                    self.pause(25);
                    open = open.checked_add(qty.get())?;
                }
                // The last position of each strategy stays open.
                if round + 1 == ROUNDS && at != hand {
                    continue;
                }
                let half = open.div_round(Decimal::from(2), 2)?;
                let by_hand = round == 2 && at == hand;
                let (role, loss) = match (by_hand, self.random.below(3)) {
                    (true, _) => (IntentRole::Exit, Loss::Everything),
                    (false, 0) => (IntentRole::TakeProfit, self.chance()),
                    (false, 1) => (IntentRole::StopLoss, self.chance()),
                    (false, _) => (IntentRole::Exit, self.chance()),
                };
                let parts = [half, open.checked_sub(half)?];
                let parts: &[Decimal] = if by_hand || self.random.below(2) == 0 { &[open] } else { &parts };
                for (step, part) in parts.iter().enumerate() {
                    let part = Quantity::new(*part).map_err(broken)?;
                    let step = u32::try_from(step).unwrap_or(u32::MAX);
                    self.order(wish(role, side.opposite(), part, step), loss).await?;
                    self.pause(2);
                }
                self.pause(20);
            }
        }
        if self.dropped_fills > 0 {
            self.session.losses.insert(0, format!("The stream dropped {} fills.", self.dropped_fills));
        }
        Ok(self.session)
    }

    /// Records the contracts that it is going to trade: without them the book cannot turn quantities into money.
    async fn load_contracts(&mut self) -> Result<(), CommandError> {
        let listed = self.world.reader.fetch_instruments().await.map_err(refused)?;
        let traded = |symbol: &Symbol| STRATEGIES.iter().any(|(_, traded, ..)| symbol.as_str() == *traded);
        let statements = listed.rows.iter().filter(|row| traded(&row.entity.symbol)).map(Stated::statement).collect();
        self.recorder.record(statements).await.map_err(super::failed)?;
        self.pause(1);
        Ok(())
    }

    fn chance(&mut self) -> Loss {
        if self.random.below(5) == 0 { Loss::Fills } else { Loss::None }
    }

    fn pause(&mut self, minutes: u64) {
        let seconds = minutes * 60 + self.random.below(600);
        self.world.simulator.step(Duration::from_secs(seconds));
    }

    /// Signals, sends and records an order and its fills, but for what is lost.
    async fn order(&mut self, wish: Wish<'_>, loss: Loss) -> Result<(), CommandError> {
        let placed = if loss == Loss::Everything {
            self.session.losses.push(format!("Somebody closed a {} position by hand, on the web page.", wish.symbol));
            let by_hand = format!("web_{}", self.random.below(1 << 40));
            self.place(&wish, &by_hand).await?
        } else {
            let intent = self.decide(&wish).await?;
            if loss == Loss::Answer {
                self.recorder.intent(intent).await.map_err(super::failed)?;
                self.session.losses.push(format!("The bot crashed right after sending an order for {}.", wish.symbol));
                self.place(&wish, &wish.name).await?
            } else {
                match self.recorder.send(self.world.trader.as_ref(), &intent).await.map_err(super::failed)? {
                    Some(SendOutcome::Done(order)) => order,
                    Some(SendOutcome::Rejected(error) | SendOutcome::Unknown(error)) => return Err(refused(error)),
                    None => return Ok(()),
                }
            }
        };
        self.session.order_count += 1;
        self.world.simulator.step(Duration::from_secs(2));
        let fills = self.fills_of(&placed.entity).await?;
        self.session.fill_count += fills.len() as u64;
        match loss {
            Loss::None => {
                self.recorder.fills(&fills).await.map_err(super::failed)?;
            }
            Loss::Fills => self.dropped_fills += fills.len() as u64,
            Loss::Answer | Loss::Everything => {}
        }
        Ok(())
    }

    /// Records the decision, and answers the order that follows from it.
    async fn decide(&mut self, wish: &Wish<'_>) -> Result<OrderIntent, CommandError> {
        let now = self.world.clock.now();
        let signal_id = SignalId::new(format!("{}-signal", wish.name)).map_err(broken)?;
        let engine = EngineLabel::new(wish.engine).map_err(broken)?;
        let opens = matches!(wish.role, IntentRole::Entry | IntentRole::Dca);
        self.recorder
            .signal(Signal {
                signal_id: signal_id.clone(),
                time: EventTime::ms(now),
                skew_ms: Some(0),
                symbol: wish.symbol.clone(),
                side: wish.side,
                kind: if opens { SignalKind::Entry } else { SignalKind::AutoExit },
                engine: Some(engine.clone()),
                reason: Some(Label::new(wish.role.as_str()).map_err(broken)?),
                skipped: None,
                meta_json: None,
                restored: false,
            })
            .await
            .map_err(super::failed)?;
        Ok(OrderIntent {
            client_order_id: ClientOrderId::new(&wish.name).map_err(broken)?,
            symbol: wish.symbol.clone(),
            class: OrderClass::Regular,
            side: wish.side,
            position_side: Some(PositionSide::Net),
            role: wish.role,
            dca_step: if wish.role == IntentRole::Dca { wish.step } else { 0 },
            attempt: 1,
            order_type: Label::new("MARKET").map_err(broken)?,
            qty: Some(wish.qty),
            price: None,
            trigger_price: None,
            reduce_only: !opens,
            signal_id: Some(signal_id),
            engine: Some(engine),
            created_local: now,
            outcome: IntentOutcome::Pending,
        })
    }

    /// Sends an order without recording it.
    async fn place(&self, wish: &Wish<'_>, client_order_id: &str) -> Result<Stated<Order>, CommandError> {
        let order = NewOrder {
            client_order_id: ClientOrderId::new(client_order_id).map_err(broken)?,
            symbol: wish.symbol.clone(),
            side: wish.side,
            position_side: PositionSide::Net,
            kind: OrderKind::Market,
            size: wish.qty.into(),
            reduce_only: false,
        };
        match self.world.trader.create_order(order).await {
            SendOutcome::Done(order) => Ok(order),
            SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => Err(refused(error)),
        }
    }

    async fn fills_of(&self, order: &Order) -> Result<Vec<Stated<Fill>>, CommandError> {
        let (mut fills, mut query) = (Vec::new(), Some(TradeQuery::Order(order.key.order_id.clone())));
        while let Some(asked) = query {
            let page = self.world.reader.fetch_my_trades(order.key.symbol.clone(), asked).await.map_err(refused)?;
            fills.extend(page.rows);
            query = page.next;
        }
        Ok(fills)
    }
}

/// A constant of the demo that does not pass its own checks.
fn broken(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::new(ExitCode::Error, error)
}

/// The simulated exchange did not answer as it should.
fn refused(error: exchange_client::ExchangeError) -> CommandError {
    CommandError::new(ExitCode::Error, error)
}

/// A small generator (SplitMix64): the demo must be the same for the same seed on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
