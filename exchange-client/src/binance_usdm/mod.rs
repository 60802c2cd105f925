//! Binance USD-M futures.
//!
//! `reader` asks and `trader` trades: `parameters` says what, `rest` sends, `sign` signs, `dto` is what comes back, `parse`
//! makes entities of it and `rows` lists of them, `paging` knows how to go on and `agreement` whether an answer is about
//! what was asked for. `stream` listens.
//!
//! Invariants, each with a test of the same name:
//! 1. `entities_carry_their_payload_verbatim`.
//! 2. `a_duplicate_or_unsorted_page_is_put_right`.
//! 3. `rows_that_were_not_asked_for_are_refused`.
//! 4. `a_ledger_row_without_an_id_has_one_id_wherever_pages_begin`.

mod agreement;
mod dto;
mod facts;
mod ledger;
mod paging;
mod parameters;
mod parse;
mod reader;
mod rest;
mod rows;
mod sign;
mod stream;
mod symbol;
#[cfg(test)]
mod tests;
mod trader;

use std::fmt;
use std::sync::Arc;

pub use self::facts::VENUE;
pub use self::parse::fee_from_commission;
use self::rest::RestClient;
pub use self::rest::{RequestBudget, RequestSettings, RetryPolicy};
pub use self::stream::{AddressShape, BinanceUserStreams, UserStreamSettings};
pub(crate) use self::symbol::WALLET_ASSETS;
pub use self::symbol::instrument_from_symbol;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::ExchangeError;
use crate::transport::Transport;

/// One account at Binance USD-M futures, or at anything that speaks its language.
pub struct BinanceUsdm {
    rest: Arc<RestClient>,
}

impl fmt::Debug for BinanceUsdm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BinanceUsdm").field("base_url", &self.rest.base_url()).finish_non_exhaustive()
    }
}

impl BinanceUsdm {
    /// An adapter for the account of `credentials`. `base_url` is [`VENUE`]'s own or that of a test exchange.
    ///
    /// # Errors
    /// [`ExchangeError::BaseUrl`] when credentials would travel unencrypted to another machine.
    pub fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: &str,
        credentials: Credentials,
    ) -> Result<Self, ExchangeError> {
        Self::with_settings(transport, clock, base_url, credentials, RequestSettings::default())
    }

    /// The same, with a say in budget and repetitions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_settings(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: &str,
        credentials: Credentials,
        settings: RequestSettings,
    ) -> Result<Self, ExchangeError> {
        Ok(Self { rest: Arc::new(RestClient::new(transport, clock, base_url, credentials, settings)?) })
    }

    /// Another account at the same exchange, asked from the same address: both share one budget, and a ban of one
    /// silences both. `settings` say how it repeats; where the two budgets differ, the stricter one holds for both.
    #[must_use]
    pub fn for_account(&self, credentials: Credentials, settings: RequestSettings) -> Self {
        Self { rest: Arc::new(self.rest.for_account(credentials, settings)) }
    }
}
