//! What the book has against the user's word about the position mode.

use ledger_core::AccountId;
use ledger_store::{DiscrepancyFilter, PageRequest, Store, StoreError};

use crate::wording::evidence_line;

/// What contradicts the user's word about the position mode, in one line; `None` where nothing does.
///
/// # Errors
/// When the book cannot be read.
pub async fn contradiction(store: &dyn Store, account: &AccountId) -> Result<Option<String>, StoreError> {
    let kind = Some("position_mode".to_owned());
    let filter = DiscrepancyFilter { kind, ..DiscrepancyFilter::open(account.clone()) };
    let found = store.discrepancies(&filter, PageRequest::first(1)).await?.items.pop();
    Ok(found.map(|found| evidence_line(&found.entry)))
}
