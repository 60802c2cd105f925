//! A second look at what the first one doubted, and at nothing else: balances, and the contracts whose positions differ.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_audit_looks_twice_at_what_it_doubts`.

use std::collections::BTreeSet;

use exchange_client::ExchangeReader;
use ledger_core::{AccountId, Symbol};
use ledger_store::Store;

use super::ObserveOptions;
use super::book::BookReader;
use super::close_look::CloseLook;
use super::identity::balances_of;
use super::observation::Observation;
use super::suspects::suspects;
use crate::asked::Asked;
use crate::error::ReconcileError;
use crate::policy::Policy;
use crate::unreadable::ReadableBook;

/// Who is asked, and what for.
pub(crate) struct LookAgain<'a> {
    pub(crate) exchange: &'a dyn ExchangeReader,
    pub(crate) book: &'a dyn Store,
    pub(crate) account: &'a AccountId,
    pub(crate) options: &'a ObserveOptions,
    pub(crate) policy: &'a Policy,
}

impl LookAgain<'_> {
    /// Looks again, some time after `seen`. Where the exchange does not say what time it is by now, what was doubted stays so.
    ///
    /// # Errors
    /// [`ReconcileError`] when the book cannot be read.
    pub(crate) async fn take(&self, seen: &mut Observation, symbols: &BTreeSet<Symbol>) -> Result<(), ReconcileError> {
        let Self { exchange, book, account, options, policy } = *self;
        let Ok(now) = exchange.server_time().await else { return Ok(()) };
        seen.asked_at = now;
        let book = ReadableBook::whole(book);
        let reader = BookReader { book: &book, account, policy, now };
        if seen.balances.is_answered()
            && let Ok(balances) = balances_of(exchange, &seen.identity).await
        {
            seen.balances = Asked::Answered(balances);
            seen.book.latest_balances.clear();
            seen.book.ledger_since.clear();
            reader.learn_balances(seen).await?;
        }
        let mut suspects = suspects(seen, policy, &seen.book.unfilled);
        for symbol in symbols {
            if !seen.symbols.contains_key(symbol) {
                continue;
            }
            let suspect = suspects.remove(symbol).unwrap_or_default();
            let look = CloseLook { exchange, reader: &reader, since: options.since, symbol, suspect: &suspect };
            let close = look.take(seen).await?;
            seen.symbols.insert(symbol.clone(), close);
            look.ask_for_orders_of_fills(seen).await?;
        }
        Ok(())
    }
}
