//! Who tells what happens.

use std::sync::Arc;

use exchange_client::Clock;
use ledger_core::AccountId;

use super::Teller;
use super::happening::{Happening, Told};

/// Tells what happens.
pub(super) struct Voice {
    pub(super) account: AccountId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) teller: Teller,
}

impl Voice {
    pub(super) fn tell(&self, (kind, text): Told) {
        let text = ledger_core::printable(&text).into_owned();
        tracing::info!(account = %self.account, kind = kind.as_str(), "{text}");
        let happening = Happening { account: self.account.clone(), at_local: self.clock.now(), kind, text };
        (self.teller)(&happening);
    }
}
