//! Contracts that the stream names and the book does not know: they are asked for beside the recording, which waits for nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use exchange_client::ExchangeReader;
use ledger_core::{AccountId, AnyFact, Statement, Symbol};
use ledger_store::Book;
use tokio::task::JoinHandle;

use crate::error::{Doing, ReconcileError};
use crate::record::Recorder;

/// Which contracts have been looked after, and the question that is under way.
#[derive(Default)]
pub(super) struct Contracts {
    seen: BTreeSet<Symbol>,
    new: BTreeSet<Symbol>,
    asking: Option<JoinHandle<Result<(), ReconcileError>>>,
}

impl Contracts {
    /// Notes the contracts of orders and fills.
    pub(super) fn note(&mut self, statements: &[Statement]) {
        for statement in statements {
            let symbol = match &statement.fact {
                AnyFact::Order(order) => &order.key.symbol,
                AnyFact::Fill(fill) => &fill.key.symbol,
                _ => continue,
            };
            if !self.seen.contains(symbol) {
                self.new.insert(symbol.clone());
            }
        }
    }

    /// Looks for those that were noted since, if there are any and nothing is being asked.
    pub(super) fn ask(
        &mut self,
        recorder: &Recorder,
        book: &Book,
        account: &AccountId,
        exchange: &Arc<dyn ExchangeReader>,
    ) {
        if self.new.is_empty() || self.asking.is_some() {
            return;
        }
        let wanted = std::mem::take(&mut self.new);
        self.seen.extend(wanted.iter().cloned());
        let (recorder, book) = (recorder.clone(), Arc::clone(book));
        let (account, exchange) = (account.clone(), Arc::clone(exchange));
        self.asking = Some(tokio::spawn(async move {
            let mut missing = BTreeSet::new();
            for symbol in wanted {
                if book.instrument(&account, &symbol).await.doing("reading a contract")?.is_none() {
                    missing.insert(symbol);
                }
            }
            if !missing.is_empty() {
                recorder.instruments(&*exchange, |contract| missing.contains(&contract.symbol)).await?;
            }
            Ok(())
        }));
    }

    /// Whether something is being asked.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Waits for the answer: whether it failed, in which case a full cycle asks. Dropping the future loses nothing.
    pub(super) async fn answered(&mut self) -> Result<(), ReconcileError> {
        let Some(asking) = &mut self.asking else { return std::future::pending().await };
        // A task that panicked has reported it.
        let answer = asking.await.unwrap_or(Err(ReconcileError::Stopped));
        self.asking = None;
        answer
    }
}

impl Drop for Contracts {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}
