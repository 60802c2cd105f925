//! Taking the lease of an account, and waiting for it.

use std::time::Duration;

use ledger_core::TimestampMs;
use ledger_store::{HeldLease, LeaseAnswer, LeaseRequest};

use super::happening::HappeningKind;
use super::stop::Stop;
use super::voice::Voice;
use super::{WatchError, Watcher};
use crate::error::Doing;

/// Takes the account's lease; `None` where the word to end came first.
pub(super) async fn take_lease(
    watcher: &Watcher,
    stop: &mut Stop,
    voice: &Voice,
) -> Result<Option<HeldLease>, WatchError> {
    let config = &watcher.config;
    let account = watcher.account();
    let mut has_told = false;
    loop {
        let now_local = watcher.clock.now();
        let request = LeaseRequest {
            account: account.clone(),
            holder: config.holder.clone(),
            now_local,
            until_local: later(now_local, config.lease),
        };
        let answer = watcher.book.take_lease(request).await.doing("taking the account's lease");
        let known = match answer.map_err(|source| WatchError::Reconcile { account: account.clone(), source })? {
            LeaseAnswer::Granted(held) => return Ok(Some(held)),
            LeaseAnswer::Held(known) => known,
        };
        if !config.waits {
            return Err(WatchError::Held { account: account.clone(), holder: known.holder });
        }
        if !std::mem::replace(&mut has_told, true) {
            let text = format!("{} watches this account; waiting until it ends", known.holder);
            voice.tell((HappeningKind::Waits, text));
        }
        tokio::select! {
            biased;
            () = stop.wait() => return Ok(None),
            () = tokio::time::sleep(config.lease / 10) => {}
        }
    }
}

/// An instant so much later.
pub(super) fn later(at: TimestampMs, by: Duration) -> TimestampMs {
    at.saturating_add_ms(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
