//! A small bot: it trades for one account and records as it goes, except where the script takes its records away.

use std::collections::BTreeMap;
use std::time::Duration;

use exchange_client::{NewOrder, OrderRef, SendOutcome, Stated, TradeQuery};
use ledger_core::{
    AnyFact, ClientOrderId, Decimal, EngineLabel, EventTime, Fill, IntentOutcome, IntentRole, Label, Order, OrderClass,
    OrderIntent, PositionSide, Price, Quantity, Side, Signal, SignalId, SignalKind, Source, Statement, Symbol,
};
use reconciler::{ClientIdScheme, Recorder};

use super::random::Random;
use crate::error::{CommandError, ExitCode};
use crate::wiring::{DemoAccount, DemoWorld};

/// What is lost of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing.
    None,
    /// The fills: the stream dropped them.
    Fills,
    /// Everything but the decision and the intention: the bot crashed before it could record the answer.
    Answer,
    /// Everything but the decision.
    Order,
    /// Everything: the database could not be written, or it was not the bot that traded.
    Everything,
    /// Who decided, and why: order and fills are on record.
    Label,
}

/// A position that the bot holds, or wants to.
#[derive(Debug, Clone)]
pub(super) struct Holding {
    pub(super) engine: EngineLabel,
    pub(super) symbol: Symbol,
    /// `Long` or `Short`, whatever the mode.
    pub(super) direction: PositionSide,
    pub(super) qty: Quantity,
    /// The decision that opened it.
    signal: Option<SignalId>,
}

/// An order that waits at the exchange.
pub(super) struct Resting {
    pub(super) order: Stated<Order>,
    loss: Loss,
}

/// An order that was sent, of whose answer nothing is on record yet.
pub(super) struct Sent {
    intent: OrderIntent,
    outcome: SendOutcome<Stated<Order>>,
}

/// The bot of one account.
pub(super) struct Bot<'a> {
    pub(super) world: &'a DemoWorld,
    pub(super) account: &'a DemoAccount,
    pub(super) random: Random,
    recorder: Recorder,
    pub(super) is_hedged: bool,
    /// The digits after the point that prices have.
    price_scales: BTreeMap<Symbol, u8>,
    count: u64,
    /// The bot's own log of entries, which outlives its database: one JSON object a line.
    pub(super) entry_events: String,
}

/// What an order is for and what it says.
struct Wish<'a> {
    holding: &'a Holding,
    role: IntentRole,
    qty: Quantity,
    price: Option<Price>,
    trigger: Option<Price>,
}

impl<'a> Bot<'a> {
    pub(super) async fn new(
        world: &'a DemoWorld,
        account: &'a DemoAccount,
        is_hedged: bool,
        random: Random,
    ) -> Result<Self, CommandError> {
        let recorder = Recorder::new(world.book.clone(), account.id.clone(), world.clock.clone());
        let listed = account.reader.fetch_instruments().await?;
        let scale = |tick: Option<Decimal>| tick.map_or(0, Decimal::scale);
        let price_scales =
            listed.rows.iter().map(|row| (row.entity.symbol.clone(), scale(row.entity.tick_size))).collect();
        // What the bot trades it knows; without a contract on record no position can be computed.
        recorder.record(listed.rows.iter().map(Stated::statement).collect()).await?;
        let entry_events = String::new();
        Ok(Self { world, account, random, recorder, is_hedged, price_scales, count: 0, entry_events })
    }

    /// A position to open.
    pub(super) fn wants(
        engine: &str,
        symbol: &str,
        direction: PositionSide,
        qty: &str,
    ) -> Result<Holding, CommandError> {
        Ok(Holding {
            engine: EngineLabel::new(engine).map_err(broken)?,
            symbol: Symbol::new(symbol).map_err(broken)?,
            direction,
            qty: qty.parse().map_err(broken)?,
            signal: None,
        })
    }

    /// Opens a position at the market.
    pub(super) async fn open(&mut self, mut wanted: Holding, loss: Loss) -> Result<Holding, CommandError> {
        wanted.signal = self.decide(&wanted, opening(&wanted), SignalKind::Entry, "entry_ready", loss).await?;
        let (qty, role) = (wanted.qty, IntentRole::Entry);
        self.market(&wanted, role, qty, loss).await?;
        Ok(wanted)
    }

    /// Adds to a position.
    pub(super) async fn add(&mut self, holding: &mut Holding, loss: Loss) -> Result<(), CommandError> {
        let qty = holding.qty;
        self.market(holding, IntentRole::Dca, qty, loss).await?;
        holding.qty = Quantity::new(qty.get().checked_add(qty.get())?).map_err(broken)?;
        Ok(())
    }

    /// Closes a position at the market, because its strategy says so.
    pub(super) async fn exit(&mut self, mut holding: Holding, loss: Loss) -> Result<(), CommandError> {
        let side = opening(&holding).opposite();
        holding.signal = self.decide(&holding, side, SignalKind::AutoExit, "exit_rule", loss).await?;
        let qty = holding.qty;
        self.market(&holding, IntentRole::Exit, qty, loss).await
    }

    /// Sends an order at the market and records the decision and the intention, but nothing of what comes of it.
    pub(super) async fn send_at_market(
        &mut self,
        holding: &mut Holding,
        role: IntentRole,
    ) -> Result<Sent, CommandError> {
        let (side, loss) = (opening(holding), Loss::None);
        match role {
            IntentRole::Entry => {
                holding.signal = self.decide(holding, side, SignalKind::Entry, "entry_ready", loss).await?;
            }
            IntentRole::Exit => {
                holding.signal = self.decide(holding, side.opposite(), SignalKind::AutoExit, "exit_rule", loss).await?;
            }
            _ => {}
        }
        let qty = holding.qty;
        let intent = self.intent(&Wish { holding, role, qty, price: None, trigger: None })?;
        self.recorder.intent(intent.clone()).await?;
        let order = NewOrder::from_intent(&intent).map_err(broken)?;
        Ok(Sent { outcome: self.account.trader.create_order(order).await, intent })
    }

    /// Records the order that the exchange took, and its purpose. The stream tells its state and its fills.
    pub(super) async fn note(&self, sent: Sent) -> Result<(), CommandError> {
        let Sent { intent, outcome } = sent;
        match outcome {
            SendOutcome::Done(Stated { entity: Order { key, side, position_side, .. }, .. }) => {
                let mut order = Order::known_from_fill(key, side, position_side);
                order.client_order_id = Some(intent.client_order_id.clone());
                (order.engine, order.signal_id) = (intent.engine.clone(), intent.signal_id.clone());
                let taken = OrderIntent { outcome: IntentOutcome::Accepted, ..intent };
                let facts = [AnyFact::Intent(taken), AnyFact::Order(order)];
                let own = facts.map(|fact| Statement { fact, source: Source::Bot, payload: None });
                self.recorder.record(own.into()).await?;
                Ok(())
            }
            SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => Err(error.into()),
        }
    }

    /// Leaves an order at the exchange that closes the position at a profit or loss of `percent_e2` hundredths of a percent.
    pub(super) async fn guard(
        &mut self,
        holding: &Holding,
        role: IntentRole,
        percent_e2: i64,
        loss: Loss,
    ) -> Result<Resting, CommandError> {
        let is_up = (holding.direction == PositionSide::Long) == (role == IntentRole::TakeProfit);
        let trigger = Some(self.price_at(&holding.symbol, if is_up { percent_e2 } else { -percent_e2 })?);
        let wish = Wish { holding, role, qty: holding.qty, price: None, trigger };
        let order = self.send(&wish, Loss::None).await?;
        Ok(Resting { order, loss })
    }

    /// Rests a limit order that opens a position when the price comes `percent_e2` hundredths of a percent nearer.
    pub(super) async fn bid(&mut self, wanted: &mut Holding, percent_e2: i64) -> Result<Resting, CommandError> {
        let signal = self.decide(wanted, opening(wanted), SignalKind::Entry, "pullback", Loss::None).await?;
        wanted.signal = signal;
        let percent_e2 = if wanted.direction == PositionSide::Long { -percent_e2 } else { percent_e2 };
        let price = Some(self.price_at(&wanted.symbol, percent_e2)?);
        let wish = Wish { holding: wanted, role: IntentRole::Entry, qty: wanted.qty, price, trigger: None };
        let order = self.send(&wish, Loss::None).await?;
        Ok(Resting { order, loss: Loss::None })
    }

    /// Cancels what is left of a resting order, and answers how much of it had been executed.
    pub(super) async fn cancel(&mut self, resting: &Resting, reason: &str) -> Result<Decimal, CommandError> {
        let key = &resting.order.entity.key;
        let reason = Label::new(reason).map_err(broken)?;
        match self.recorder.send_cancel(self.account.trader.as_ref(), key, Some(reason)).await? {
            SendOutcome::Done(order) => {
                let executed = order.and_then(|order| order.entity.executed).map(|executed| executed.qty);
                Ok(executed.unwrap_or_default())
            }
            SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => Err(error.into()),
        }
    }

    /// What the stream would tell of a resting order by now: its state, the order that it became, and the fills.
    pub(super) async fn hear_of(&mut self, resting: &Resting) -> Result<(), CommandError> {
        if resting.loss == Loss::Everything {
            return Ok(());
        }
        let key = &resting.order.entity.key;
        let asked = OrderRef::Id(key.class, key.order_id.clone());
        let Some(mut order) = self.account.reader.fetch_order(key.symbol.clone(), asked).await? else {
            return Ok(());
        };
        let mut heard = vec![order.statement()];
        if let Some(became) = order.entity.triggered_order_id.clone() {
            let asked = OrderRef::Id(OrderClass::Regular, became);
            if let Some(regular) = self.account.reader.fetch_order(key.symbol.clone(), asked).await? {
                heard.push(regular.statement());
                order = regular;
            }
        }
        self.recorder.record(heard).await?;
        if resting.loss != Loss::Fills {
            self.recorder.fills(&self.fills_of(&order.entity).await?).await?;
        }
        Ok(())
    }

    /// A decision that the bot did not act upon, which is no reason to look for an order.
    pub(super) async fn skip(&mut self, wanted: &Holding, why: &str) -> Result<(), CommandError> {
        let mut signal = self.signal(wanted, opening(wanted), SignalKind::Entry, "entry_ready")?;
        signal.skipped = Some(Label::new(why).map_err(broken)?);
        self.recorder.signal(signal).await?;
        Ok(())
    }

    /// Lets time pass: this many minutes and up to ten more.
    pub(super) fn pause(&mut self, minutes: u64) {
        let seconds = minutes * 60 + self.random.below(600);
        self.world.simulator.step(Duration::from_secs(seconds));
    }

    /// Moves a contract's price by hundredths of a percent.
    pub(super) fn move_price(&self, symbol: &Symbol, percent_e2: i64) -> Result<(), CommandError> {
        let price = self.price_at(symbol, percent_e2)?;
        self.world.simulator.set_price(symbol, price).map_err(broken)?;
        self.world.simulator.step(Duration::from_secs(2));
        Ok(())
    }

    fn price_at(&self, symbol: &Symbol, percent_e2: i64) -> Result<Price, CommandError> {
        let price = self.world.simulator.price(symbol).unwrap_or_default();
        let scaled = price.checked_mul(Decimal::from(10_000 + percent_e2))?;
        let scale = self.price_scales.get(symbol).copied().unwrap_or(0);
        Price::new(scaled.div_round(Decimal::from(10_000), scale)?).map_err(broken)
    }

    async fn market(
        &mut self,
        holding: &Holding,
        role: IntentRole,
        qty: Quantity,
        loss: Loss,
    ) -> Result<(), CommandError> {
        let wish = Wish { holding, role, qty, price: None, trigger: None };
        let order = self.send(&wish, loss).await?;
        self.world.simulator.step(Duration::from_secs(2));
        match loss {
            Loss::None | Loss::Label => {
                let fills = self.fills_of(&order.entity).await?;
                self.recorder.fills(&fills).await?;
            }
            Loss::Fills | Loss::Answer | Loss::Order | Loss::Everything => {}
        }
        Ok(())
    }

    /// Sends an order, and records of it what is not lost.
    async fn send(&mut self, wish: &Wish<'_>, loss: Loss) -> Result<Stated<Order>, CommandError> {
        let mut intent = self.intent(wish)?;
        let trader = self.account.trader.as_ref();
        let outcome = match loss {
            Loss::None | Loss::Fills => match self.recorder.send(trader, &intent).await? {
                Some(outcome) => outcome,
                None => return Err(CommandError::new(ExitCode::Error, "the demo's bot wants an order that is none")),
            },
            Loss::Answer | Loss::Order | Loss::Everything | Loss::Label => {
                if loss == Loss::Answer {
                    self.recorder.intent(intent.clone()).await?;
                } else if loss == Loss::Label {
                    // Sent by a part of the bot that does not say in the id who it is.
                    intent.client_order_id = ClientOrderId::new(format!("job-{}", self.count)).map_err(broken)?;
                }
                trader.create_order(NewOrder::from_intent(&intent).map_err(broken)?).await
            }
        };
        let order = match outcome {
            SendOutcome::Done(order) => order,
            SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => return Err(error.into()),
        };
        if wish.role == IntentRole::Entry {
            self.log_entry(wish.holding, &order.entity);
        }
        if loss == Loss::Label {
            self.recorder.record(vec![order.statement()]).await?;
        }
        Ok(order)
    }

    /// The bot's own log of entries.
    fn log_entry(&mut self, holding: &Holding, order: &Order) {
        let entry = serde_json::json!({
            "ts": self.world.clock.now().as_ms(), "symbol": holding.symbol.as_str(), "side": holding.direction.as_str(),
            "engine": holding.engine.as_str(), "reason": "entry_ready", "order_id": order.key.order_id.as_str(),
        });
        self.entry_events.push_str(&entry.to_string());
        self.entry_events.push('\n');
    }

    fn intent(&mut self, wish: &Wish<'_>) -> Result<OrderIntent, CommandError> {
        let Wish { holding, role, qty, price, trigger } = wish;
        let opens = matches!(role, IntentRole::Entry | IntentRole::Dca);
        let (class, order_type) = match (role, price) {
            (IntentRole::TakeProfit, _) => (OrderClass::Conditional, "TAKE_PROFIT_MARKET"),
            (IntentRole::StopLoss, _) => (OrderClass::Conditional, "STOP_MARKET"),
            (_, Some(_)) => (OrderClass::Regular, "LIMIT"),
            (_, None) => (OrderClass::Regular, "MARKET"),
        };
        self.count += 1;
        let id = ClientIdScheme::default().compose(&holding.engine, *role, &self.count.to_string());
        let client_order_id =
            id.ok_or_else(|| CommandError::new(ExitCode::Error, "the demo's client order ids are too long"))?;
        let side = opening(holding);
        Ok(OrderIntent {
            client_order_id,
            symbol: holding.symbol.clone(),
            class,
            side: if opens { side } else { side.opposite() },
            position_side: Some(if self.is_hedged { holding.direction } else { PositionSide::Net }),
            role: *role,
            dca_step: u32::from(*role == IntentRole::Dca),
            attempt: 1,
            order_type: Label::new(order_type).map_err(broken)?,
            qty: Some(*qty),
            price: *price,
            trigger_price: *trigger,
            // In hedge mode the position side says it, and the exchange accepts no more.
            reduce_only: !opens && !self.is_hedged,
            signal_id: holding.signal.clone(),
            engine: Some(holding.engine.clone()),
            created_local: self.world.clock.now(),
            outcome: IntentOutcome::Pending,
        })
    }

    /// Records a decision, unless it is lost.
    async fn decide(
        &mut self,
        holding: &Holding,
        side: Side,
        kind: SignalKind,
        reason: &str,
        loss: Loss,
    ) -> Result<Option<SignalId>, CommandError> {
        let signal = self.signal(holding, side, kind, reason)?;
        if matches!(loss, Loss::Everything | Loss::Label) {
            return Ok(None);
        }
        let id = signal.signal_id.clone();
        self.recorder.signal(signal).await?;
        Ok(Some(id))
    }

    fn signal(
        &mut self,
        holding: &Holding,
        side: Side,
        kind: SignalKind,
        reason: &str,
    ) -> Result<Signal, CommandError> {
        self.count += 1;
        Ok(Signal {
            signal_id: SignalId::new(format!("{}-{}", holding.engine, self.count)).map_err(broken)?,
            time: EventTime::ms(self.world.clock.now()),
            skew_ms: Some(0),
            symbol: holding.symbol.clone(),
            side,
            kind,
            engine: Some(holding.engine.clone()),
            reason: Some(Label::new(reason).map_err(broken)?),
            skipped: None,
            meta_json: None,
            restored: false,
        })
    }

    async fn fills_of(&self, order: &Order) -> Result<Vec<Stated<Fill>>, CommandError> {
        let (mut fills, mut query) = (Vec::new(), Some(TradeQuery::Order(order.key.order_id.clone())));
        while let Some(asked) = query {
            let page = self.account.reader.fetch_my_trades(order.key.symbol.clone(), asked).await?;
            fills.extend(page.rows);
            query = page.next;
        }
        Ok(fills)
    }
}

/// The side of the orders that open a position.
fn opening(holding: &Holding) -> Side {
    if holding.direction == PositionSide::Long { Side::Buy } else { Side::Sell }
}

/// A constant of the demo that does not pass its own checks.
pub(super) fn broken(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::new(ExitCode::Error, error)
}
