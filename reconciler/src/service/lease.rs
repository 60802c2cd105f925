//! Taking the lease of an account, and waiting for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ledger_core::TimestampMs;
use ledger_store::{HeldLease, LeaseAnswer, LeaseRequest};

use super::happening::HappeningKind;
use super::stop::Stop;
use super::voice::Voice;
use super::{WatchError, Watcher, is_final_of_store, reason_of};
use crate::error::ReconcileError;

/// Takes the account's lease; `None` where the word to end came first.
pub(super) async fn take_lease(
    watcher: &Watcher,
    stop: &mut Stop,
    voice: &Voice,
) -> Result<Option<HeldLease>, WatchError> {
    let config = &watcher.config;
    let account = watcher.account();
    let (mut has_told, mut has_failed) = (false, false);
    loop {
        let now_local = watcher.clock.now();
        let request = LeaseRequest {
            account: account.clone(),
            holder: config.holder.clone(),
            now_local,
            until_local: later(now_local, config.lease),
        };
        match watcher.book.take_lease(request).await {
            Ok(LeaseAnswer::Granted(held)) => return Ok(Some(held)),
            Ok(LeaseAnswer::Held(known)) if !config.waits => {
                return Err(WatchError::Held { account: account.clone(), holder: known.holder });
            }
            Ok(LeaseAnswer::Held(known)) => {
                if !std::mem::replace(&mut has_told, true) {
                    let text = format!("{} watches this account; waiting until it ends", known.holder);
                    voice.tell((HappeningKind::Waits, text));
                }
            }
            Err(source) if is_final_of_store(&source) => {
                let source = ReconcileError::Store { doing: "taking the account's lease", source };
                return Err(WatchError::Reconcile { account: account.clone(), source });
            }
            // A book that is busy now is free some time.
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    let text = format!(
                        "the account's lease cannot be taken yet, and is tried for again: {}",
                        reason_of(&error)
                    );
                    voice.tell((HappeningKind::BookFailed, text));
                }
            }
        }
        watcher.life.beats.fetch_add(1, Ordering::Relaxed);
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
