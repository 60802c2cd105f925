//! What decides how facts are folded, beside the facts themselves.

use diesel::prelude::*;
use ledger_core::{AccountId, LedgerPlace, LedgerRules};

use super::failure::failed;
use super::schema::accounts;
use crate::store::StoreResult;

/// What decides how facts are folded, beside the facts themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoldSettings {
    pub(super) checkpoint_every: u64,
    /// By venue.
    pub(super) ledger_rules: Vec<(String, LedgerRules)>,
}

impl FoldSettings {
    /// Where the entries of an account's ledger belong.
    pub(super) fn rules_of(&self, conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<LedgerRules> {
        let venue: Option<String> = accounts::table
            .find(account.as_str())
            .select(accounts::venue)
            .first(conn)
            .optional()
            .map_err(failed("look up the account"))?;
        let rules = self.ledger_rules.iter().find(|(name, _)| Some(name) == venue.as_ref());
        Ok(rules.map(|(_, rules)| *rules).unwrap_or_default())
    }
}

/// Whether entries of this place change what is folded.
pub(super) fn is_folded(place: LedgerPlace) -> bool {
    matches!(place, LedgerPlace::Funding | LedgerPlace::Clearance | LedgerPlace::Settlement)
}

/// The names of the entries that are folded.
pub(super) fn folded_types(rules: &LedgerRules) -> Vec<&'static str> {
    rules.entries().filter(|(_, place)| is_folded(*place)).map(|(name, _)| name).collect()
}
