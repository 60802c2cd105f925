//! A bot that sends by itself, and tells its book what it decides, sends and hears, line by line, as `fillbook record` takes it.
//! A line that gets no answer waits in the spool and is given again. Killed and started again, the bot gives the spool first,
//! asks the exchange for what it sent and never heard of, and goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use exchange_client::{
    ExchangeReader, ExchangeTrader, NewOrder, OrderKind, OrderRef, OrderSize, SendOutcome, Stated, TimeInForce,
    TradeQuery,
};
use ledger_core::{ClientOrderId, Decimal, Direction, Order, OrderClass, PositionSide, Quantity, Symbol, TimestampMs};
use reconciler::{Answer, LineOutcome};
use tokio::sync::mpsc::UnboundedReceiver;

use super::recorder::Pipe;
use super::telling_words::{self as words, Terms};
use super::{Desk, Wish, closing, opening};

/// How long a line is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits before it tries something again.
const AGAIN: Duration = Duration::from_secs(2);
/// What the exchange does not have so long after it was sent, or after a process died that may have sent it, never arrives: the
/// exchange refuses what is older.
const ARRIVES_WITHIN_MS: i64 = 12_000;
/// How long a limit rests before it is cancelled.
const RESTS: Duration = Duration::from_secs(8);
/// How many exits it sends before it leaves a position to others.
const EXITS_MAX: usize = 12;
/// How many entries it sends for one decision.
const ENTRIES_MAX: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Decided,
    Signalled,
    Resting,
    Entered,
    ToClose,
    Over,
}

/// An order that it sent, or was about to send.
#[derive(Debug, Clone)]
struct Sending {
    id: ClientOrderId,
    is_exit: bool,
    sent_at: TimestampMs,
    /// What became of it, once that is known and the book was told: whether the exchange has it.
    heard: Option<bool>,
}

#[derive(Debug, Clone)]
struct Trade {
    number: usize,
    symbol: Symbol,
    direction: Direction,
    qty: &'static str,
    /// The limit of one that rests for a while.
    price: Option<String>,
    decided_at: TimestampMs,
    stage: Stage,
    /// The line of an entry that is to be answered: it is given word for word until it is.
    announcement: Option<String>,
    sendings: Vec<Sending>,
}

/// What it keeps on its own disk.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Memory {
    trades: Vec<Trade>,
    /// The lines that were answered as being on record, with their answers.
    acknowledged: Vec<(String, LineOutcome)>,
}

impl Memory {
    fn hear(&mut self, number: usize, wish: Wish, now: TimestampMs) {
        match wish {
            Wish::Enter { symbol, direction, qty, price } => self.trades.push(Trade {
                number,
                symbol,
                direction,
                qty,
                price,
                decided_at: now,
                stage: Stage::Decided,
                announcement: None,
                sendings: Vec::new(),
            }),
            Wish::Close => {
                if let Some(trade) = self.trades.iter_mut().find(|trade| trade.stage == Stage::Entered) {
                    trade.stage = Stage::ToClose;
                }
            }
        }
    }

    fn next(&self) -> Option<Trade> {
        self.trades.iter().find(|trade| !matches!(trade.stage, Stage::Entered | Stage::Over)).cloned()
    }

    /// Whether something is begun that has not come to its end.
    pub(in crate::simulation) fn is_busy(&self) -> bool {
        self.next().is_some()
    }

    /// The lines that were answered as being on record, with what they were answered.
    pub(in crate::simulation) fn acknowledged(&self) -> &[(String, LineOutcome)] {
        &self.acknowledged
    }

    /// The client order ids of the entries of each trade.
    pub(in crate::simulation) fn entries(&self) -> impl Iterator<Item = Vec<&str>> {
        self.trades.iter().map(|trade| {
            trade.sendings.iter().filter(|sending| !sending.is_exit).map(|sending| sending.id.as_str()).collect()
        })
    }

    fn of(&mut self, number: usize) -> &mut Trade {
        self.trades.iter_mut().find(|trade| trade.number == number).unwrap()
    }
}

pub(in crate::simulation) struct Bot {
    desk: Desk,
    pipe: Pipe,
    memory: Arc<Mutex<Memory>>,
    /// When this process began.
    began: TimestampMs,
}

impl Bot {
    pub(in crate::simulation) fn new(desk: Desk, pipe: Pipe, memory: Arc<Mutex<Memory>>) -> Self {
        let began = desk.clock().now();
        Self { desk, pipe, memory, began }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    fn now(&self) -> TimestampMs {
        self.desk.clock().now()
    }

    fn move_on(&self, trade: &Trade, stage: Stage) {
        self.memory().of(trade.number).stage = stage;
    }

    pub(in crate::simulation) async fn live(self, mut wishes: UnboundedReceiver<(usize, Wish)>) {
        self.give_again().await;
        loop {
            // Bound to a name, so that the memory is not held while something is done.
            let next = self.memory().next();
            let Some(trade) = next else {
                let Some((number, wish)) = wishes.recv().await else { return };
                let now = self.now();
                self.memory().hear(number, wish, now);
                continue;
            };
            match trade.stage {
                Stage::Decided => {
                    let Trade { number, symbol, direction, decided_at, .. } = &trade;
                    self.say(words::signal(*number, symbol, *direction, *decided_at)).await;
                    self.move_on(&trade, Stage::Signalled);
                }
                Stage::Signalled => Box::pin(self.enter(&trade)).await,
                Stage::Resting => Box::pin(self.take_back(&trade)).await,
                _ => Box::pin(self.close(&trade)).await,
            }
        }
    }

    // In.

    /// One step on the way to an entry that is made once or not at all.
    async fn enter(&self, trade: &Trade) {
        if let Some(sending) = trade.sendings.iter().find(|sending| sending.heard.is_none()) {
            return self.find_out(trade, sending).await;
        }
        if trade.sendings.iter().any(|sending| sending.heard == Some(true)) {
            let stage = if trade.price.is_some() { Stage::Resting } else { Stage::Entered };
            return self.move_on(trade, stage);
        }
        if trade.sendings.len() >= ENTRIES_MAX {
            return self.move_on(trade, Stage::Over);
        }
        let Some(line) = &trade.announcement else { return self.announce(trade).await };
        let answer = match self.pipe.give(line, PATIENCE).await {
            Some(answer) if answer.outcome != LineOutcome::Failed => answer,
            // Whether it is on record nobody knows, so it is given again.
            _ => return tokio::time::sleep(AGAIN).await,
        };
        if answer.outcome == LineOutcome::Refused {
            self.desk.note(&format!("the telling bot must not enter t-{}", trade.number));
            self.memory().of(trade.number).announcement = None;
            return self.leave(trade, "refused").await;
        }
        self.acknowledge(line, &answer);
        let id = ClientOrderId::new(answer.details["client_order_id"].as_str().unwrap()).unwrap();
        // It was announced by an earlier life and not sent; meanwhile somebody has concluded that it never arrives.
        let is_pending = answer.details["intent"] == "pending";
        let now = self.now();
        {
            let mut memory = self.memory();
            let known = memory.of(trade.number);
            known.announcement = None;
            if is_pending {
                known.sendings.push(Sending { id: id.clone(), is_exit: false, sent_at: now, heard: None });
            }
        }
        if !is_pending {
            return self.leave(trade, "too late").await;
        }
        let order = self.order(trade, &id, None);
        self.send(trade, order).await;
    }

    /// Asks whether an entry may be made, and makes the line that announces it.
    async fn announce(&self, trade: &Trade) {
        let position_side = self.desk.position_side(trade.direction);
        let asked = self.pipe.give(&words::gate(&trade.symbol, position_side), PATIENCE).await;
        if !asked.as_ref().is_some_and(|gate| gate.details.get("allowed") == Some(&true.into())) {
            self.desk.note(&format!("the gate holds t-{} back: {}", trade.number, reasons(asked.as_ref())));
            return self.leave(trade, "held back").await;
        }
        let terms = Terms { price: trade.price.as_deref(), ..self.terms(trade) };
        let line = words::entry(trade.number, &terms, self.now());
        self.memory().of(trade.number).announcement = Some(line);
    }

    /// No order follows.
    async fn leave(&self, trade: &Trade, why: &str) {
        self.say(words::skip(trade.number, why)).await;
        self.move_on(trade, Stage::Over);
    }

    /// Cancels a limit that has rested for long enough.
    async fn take_back(&self, trade: &Trade) {
        tokio::time::sleep(RESTS).await;
        let Some(sending) = trade.sendings.iter().find(|sending| sending.heard == Some(true)) else { return };
        let reference = OrderRef::Client(OrderClass::Regular, sending.id.clone());
        let outcome = self.desk.exchange.cancel_order(trade.symbol.clone(), reference.clone()).await;
        let (line, order) = match outcome {
            SendOutcome::Done(Some(order)) => (words::cancel(&order), order),
            // It may be over, cancelled or filled: the exchange tells.
            _ => match self.desk.exchange.fetch_order(trade.symbol.clone(), reference).await {
                Ok(Some(order)) if order.entity.status.is_terminal() => (words::order_is(&order), order),
                _ => return,
            },
        };
        self.desk.note(&format!("the telling bot takes t-{} back: {}", trade.number, order.entity.status));
        self.say(line).await;
        let has_executed = order.entity.executed.is_some_and(|executed| executed.qty.is_positive());
        self.move_on(trade, if has_executed { Stage::ToClose } else { Stage::Over });
    }

    // Out.

    /// Exits until nothing is held in the direction, whoever opened it, and the word that the trade is closed.
    async fn close(&self, trade: &Trade) {
        if let Some(sending) = trade.sendings.iter().find(|sending| sending.heard.is_none()) {
            return self.find_out(trade, sending).await;
        }
        let attempt = trade.sendings.iter().filter(|sending| sending.is_exit).count() + 1;
        let Some(held) = self.held(trade).await else { return tokio::time::sleep(AGAIN).await };
        if held.is_zero() || attempt > EXITS_MAX {
            self.desk.note(&format!("the telling bot says that t-{} is closed", trade.number));
            // Why somebody else closed it, it does not know.
            let is_own = trade.sendings.iter().any(|sending| sending.is_exit && sending.heard == Some(true));
            self.say(words::closed(&trade.symbol, trade.direction, is_own, self.now())).await;
            return self.move_on(trade, Stage::Over);
        }
        let id = ClientOrderId::new(format!("told-{}-x{attempt}", trade.number)).unwrap();
        let qty = held.to_string();
        let terms = Terms { qty: &qty, ..self.terms(trade) };
        let now = self.now();
        // Whether the book has it or not: what closes waits for nothing.
        self.say(words::exit(trade.number, &terms, &id, attempt, now)).await;
        let sending = Sending { id: id.clone(), is_exit: true, sent_at: self.now(), heard: None };
        self.memory().of(trade.number).sendings.push(sending);
        let order = self.order(trade, &id, Some(held));
        self.send(trade, order).await;
    }

    /// How much is held in the direction, without its sign.
    async fn held(&self, trade: &Trade) -> Option<Decimal> {
        let answer = self.desk.exchange.fetch_positions(Some(trade.symbol.clone())).await.ok()?;
        let position_side = self.desk.position_side(trade.direction);
        let rows = answer.rows.iter().map(|row| &row.entity).filter(|row| row.position_side == position_side);
        let is_long = trade.direction == Direction::Long;
        let held = rows.map(|row| row.qty).find(|qty| !qty.is_zero() && qty.is_positive() == is_long);
        Some(held.map_or(Decimal::ZERO, Decimal::abs))
    }

    // The exchange.

    fn terms<'a>(&self, trade: &'a Trade) -> Terms<'a> {
        let Trade { symbol, direction, qty, .. } = trade;
        let position_side = self.desk.position_side(*direction);
        Terms { symbol, direction: *direction, position_side, qty, price: None }
    }

    /// An entry, or an exit of so much.
    fn order(&self, trade: &Trade, id: &ClientOrderId, exit: Option<Decimal>) -> NewOrder {
        let position_side = self.desk.position_side(trade.direction);
        let price = trade.price.as_ref().filter(|_| exit.is_none());
        NewOrder {
            client_order_id: id.clone(),
            symbol: trade.symbol.clone(),
            side: if exit.is_some() { closing(trade.direction) } else { opening(trade.direction) },
            position_side,
            kind: price.map_or(OrderKind::Market, |price| OrderKind::Limit {
                price: price.parse().unwrap(),
                time_in_force: TimeInForce::Gtc,
            }),
            size: OrderSize::Qty(exit.map_or_else(|| trade.qty.parse().unwrap(), |qty| Quantity::new(qty).unwrap())),
            reduce_only: exit.is_some() && position_side == PositionSide::Net,
        }
    }

    async fn send(&self, trade: &Trade, order: NewOrder) {
        let id = order.client_order_id.clone();
        let what = format!("the telling bot sends {} {} as {id}", order.side, order.symbol);
        match self.desk.exchange.create_order(order).await {
            SendOutcome::Done(order) => {
                self.desk.note(&format!("{what}: done"));
                self.heard(trade, &id, Some(&order)).await;
            }
            SendOutcome::Rejected(_) => {
                self.desk.note(&format!("{what}: refused"));
                self.heard(trade, &id, None).await;
            }
            SendOutcome::Unknown(_) => {
                self.desk.note(&format!("{what}: nobody knows"));
                self.say(words::sent(&id, &trade.symbol, "unknown", None)).await;
            }
        }
    }

    /// Asks the exchange for an order of which nobody has heard.
    async fn find_out(&self, trade: &Trade, sending: &Sending) {
        let reference = OrderRef::Client(OrderClass::Regular, sending.id.clone());
        match self.desk.exchange.fetch_order(trade.symbol.clone(), reference).await {
            Ok(Some(order)) => {
                self.desk.note(&format!("the telling bot finds {}", sending.id));
                self.heard(trade, &sending.id, Some(&order)).await;
            }
            Ok(None) if self.now() >= sending.sent_at.max(self.began).saturating_add_ms(ARRIVES_WITHIN_MS) => {
                self.desk.note(&format!("the telling bot finds that {} never arrived", sending.id));
                self.heard(trade, &sending.id, None).await;
            }
            _ => tokio::time::sleep(AGAIN).await,
        }
    }

    /// Tells what became of an order, with the trades that it has made so far.
    async fn heard(&self, trade: &Trade, id: &ClientOrderId, order: Option<&Stated<Order>>) {
        let result = if order.is_some() { "accepted" } else { "rejected" };
        self.say(words::sent(id, &trade.symbol, result, order)).await;
        if let Some(order) = order {
            let query = TradeQuery::Order(order.entity.key.order_id.clone());
            let fills = self.desk.exchange.fetch_my_trades(trade.symbol.clone(), query).await;
            for fill in fills.map(|page| page.rows).unwrap_or_default() {
                self.say(words::trade(&fill)).await;
            }
        }
        let mut memory = self.memory();
        let known = memory.of(trade.number);
        if let Some(known) = known.sendings.iter_mut().find(|known| known.id == *id) {
            known.heard = Some(order.is_some());
        }
    }

    // The book.

    /// Tells the book something: when this returns, the line is on record, or in the spool, or refused.
    async fn say(&self, line: String) {
        if !self.give_again().await || !self.tell(&line).await {
            let mut spooled = self.spooled();
            spooled.push_back(line);
            self.keep(&spooled);
        }
    }

    /// Whether a line is dealt with.
    async fn tell(&self, line: &str) -> bool {
        match self.pipe.give(line, PATIENCE).await {
            Some(answer) if answer.outcome == LineOutcome::Refused => {
                let problem = answer.details["error"]["problem"].as_str().unwrap_or_default().to_owned();
                self.desk.note(&format!("refused: {problem} in {line}"));
                true
            }
            Some(answer) if answer.outcome != LineOutcome::Failed => {
                self.acknowledge(line, &answer);
                true
            }
            _ => false,
        }
    }

    /// Remembers what is on record; where the line left nothing to record, nothing is.
    fn acknowledge(&self, line: &str, answer: &Answer) {
        if answer.outcome == LineOutcome::Answered {
            return;
        }
        self.memory().acknowledged.push((line.to_owned(), answer.outcome));
    }

    /// Gives what waits in the spool. Whether nothing waits any more.
    async fn give_again(&self) -> bool {
        let mut spooled = self.spooled();
        while let Some(line) = spooled.front() {
            if !self.tell(line).await {
                return false;
            }
            spooled.pop_front();
            self.keep(&spooled);
        }
        true
    }

    fn spooled(&self) -> VecDeque<String> {
        let text = std::fs::read_to_string(&self.desk.spool).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn keep(&self, spooled: &VecDeque<String>) {
        let mut text = String::new();
        for line in spooled {
            text.push_str(line);
            text.push('\n');
        }
        std::fs::write(&self.desk.spool, text).unwrap();
    }
}

/// Why an entry may not be made, in the gate's words.
fn reasons(asked: Option<&Answer>) -> String {
    let reasons = asked.and_then(|gate| gate.details.get("reasons")?.as_array().cloned());
    let Some(reasons) = reasons else { return "no answer".to_owned() };
    let kinds: Vec<_> = reasons.iter().filter_map(|reason| reason["kind"].as_str()).collect();
    kinds.join(", ")
}
