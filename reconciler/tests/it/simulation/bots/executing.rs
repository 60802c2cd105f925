//! A bot that lets its executor send. Killed and started again, it asks for the same once more: that is all that it has to know.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger_core::{Direction, EngineLabel, ExitReason, SignalId, Symbol};
use reconciler::{Cause, CloseEnd, CloseRequest, EntryOutcome, EntryRequest, Executor, Recorder};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Desk, Wish};

/// How often it asks for one thing before it leaves that.
const TRIES_MAX: usize = 4;
/// How long it waits in between.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Wanted,
    Entered,
    ToClose,
    Over,
}

#[derive(Debug, Clone)]
struct Trade {
    number: usize,
    symbol: Symbol,
    direction: Direction,
    qty: &'static str,
    stage: Stage,
}

/// What it keeps on its own disk.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Memory {
    trades: Vec<Trade>,
    /// The client order ids that the executor said it sent.
    sent: Vec<String>,
}

impl Memory {
    fn hear(&mut self, number: usize, wish: Wish) {
        match wish {
            Wish::Enter { symbol, direction, qty, .. } => {
                self.trades.push(Trade { number, symbol, direction, qty, stage: Stage::Wanted });
            }
            Wish::Close => {
                if let Some(trade) = self.trades.iter_mut().find(|trade| trade.stage == Stage::Entered) {
                    trade.stage = Stage::ToClose;
                }
            }
        }
    }

    fn next(&self) -> Option<Trade> {
        self.trades.iter().find(|trade| matches!(trade.stage, Stage::Wanted | Stage::ToClose)).cloned()
    }

    /// Whether something is begun that has not come to its end.
    pub(in crate::simulation) fn is_busy(&self) -> bool {
        self.next().is_some()
    }

    /// The client order ids that the executor said it sent.
    pub(in crate::simulation) fn sent(&self) -> &[String] {
        &self.sent
    }

    fn move_on(&mut self, number: usize, stage: Stage) {
        if let Some(trade) = self.trades.iter_mut().find(|trade| trade.number == number) {
            trade.stage = stage;
        }
    }
}

pub(in crate::simulation) struct Bot {
    desk: Desk,
    executor: Executor,
    memory: Arc<Mutex<Memory>>,
}

impl Bot {
    pub(in crate::simulation) fn new(desk: Desk, memory: Arc<Mutex<Memory>>) -> Self {
        let recorder = Recorder::new(desk.store.clone(), desk.account.clone(), desk.clock());
        let recorder = recorder.learning_contracts(desk.exchange.clone());
        let executor = Executor::new(recorder, desk.exchange.clone(), desk.exchange.clone());
        let executor = executor.with_spool(desk.spool.clone());
        Self { desk, executor, memory }
    }

    pub(in crate::simulation) async fn live(self, mut wishes: UnboundedReceiver<(usize, Wish)>) {
        loop {
            // Bound to a name, so that the memory is not held while something is done.
            let next = self.memory.lock().unwrap().next();
            match next {
                Some(trade) if trade.stage == Stage::Wanted => Box::pin(self.enter(&trade)).await,
                Some(trade) => Box::pin(self.close(&trade)).await,
                None => {
                    let Some((number, wish)) = wishes.recv().await else { return };
                    self.memory.lock().unwrap().hear(number, wish);
                }
            }
        }
    }

    fn engine() -> EngineLabel {
        EngineLabel::new("swing").unwrap()
    }

    async fn enter(&self, trade: &Trade) {
        let Trade { number, symbol, direction, qty, .. } = trade;
        let cause = Cause::Signal(SignalId::new(format!("s-{number}")).unwrap());
        let request =
            EntryRequest { symbol: symbol.clone(), cause, engine: Some(Self::engine()), qty: qty.parse().unwrap() };
        for _ in 0..TRIES_MAX {
            let outcome = match direction {
                Direction::Long => self.executor.long_market(&request).await,
                Direction::Short => self.executor.short_market(&request).await,
            };
            let (word, stage) = match outcome {
                Ok(EntryOutcome::Sent(sent)) => {
                    self.memory.lock().unwrap().sent.push(sent.client_order_id.to_string());
                    ("sent", Stage::Entered)
                }
                Ok(EntryOutcome::AlreadySent { .. }) => ("sent before", Stage::Entered),
                Ok(EntryOutcome::Unknown { .. }) => ("unknown", Stage::Wanted),
                Ok(EntryOutcome::Undecided { .. }) => ("undecided", Stage::Wanted),
                Ok(EntryOutcome::Blocked(_)) => ("blocked", Stage::Over),
                Ok(_) => ("not sent", Stage::Over),
                Err(_) => ("failed", Stage::Over),
            };
            self.desk.note(&format!("the executor enters {direction} {qty} {symbol} for s-{number}: {word}"));
            self.memory.lock().unwrap().move_on(*number, stage);
            if stage != Stage::Wanted {
                return;
            }
            tokio::time::sleep(PATIENCE).await;
        }
        self.memory.lock().unwrap().move_on(*number, Stage::Over);
    }

    /// Closes whatever is held in the direction, whoever opened it.
    async fn close(&self, trade: &Trade) {
        let Trade { number, symbol, direction, .. } = trade;
        let request = CloseRequest {
            symbol: symbol.clone(),
            cause: Cause::Signal(SignalId::new(format!("s-{number}")).unwrap()),
            engine: Some(Self::engine()),
            reason: Some(ExitReason::TakeProfit),
            believed_qty: None,
        };
        for _ in 0..TRIES_MAX {
            let report = match direction {
                Direction::Long => self.executor.close_long_market(&request).await,
                Direction::Short => self.executor.close_short_market(&request).await,
            };
            let word = match report.end {
                CloseEnd::Flat => "flat",
                CloseEnd::Dust { .. } => "dust",
                CloseEnd::StillOpen { .. } => "open",
                CloseEnd::PositionUnknown => "unknown",
            };
            let attempts = report.attempts.len();
            self.desk.note(&format!("the executor closes {direction} {symbol} of s-{number}: {word} by {attempts}"));
            if report.is_flat() {
                break;
            }
            tokio::time::sleep(PATIENCE).await;
        }
        self.memory.lock().unwrap().move_on(*number, Stage::Over);
    }
}
