//! The ledger's rows about a trade: those of the book, and those of the exchange's answer, which an audit does not record.

use std::collections::BTreeMap;

use ledger_core::{AccountId, FillId, Income, Symbol};
use ledger_store::FactReader;

use super::Extent;
use crate::error::{Doing, ReconcileError};

/// The rows of the exchange's answer that name a trade; none where nobody was asked.
pub(super) struct ToldRows(BTreeMap<(Symbol, FillId), Vec<Income>>);

impl ToldRows {
    pub(super) fn of(extent: Extent<'_>) -> Self {
        let mut told: BTreeMap<(Symbol, FillId), Vec<Income>> = BTreeMap::new();
        if let Extent::Look(observation) = extent {
            for row in observation.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity) {
                if let (Some(symbol), Some(fill_id)) = (&row.key.symbol, &row.fill_id) {
                    told.entry((symbol.clone(), fill_id.clone())).or_default().push(row.clone());
                }
            }
        }
        Self(told)
    }

    /// All rows of a trade that are known, each once: as the exchange says now, where it did.
    pub(super) async fn with_booked(
        &self,
        book: &dyn FactReader,
        account: &AccountId,
        symbol: &Symbol,
        fill_id: &FillId,
    ) -> Result<Vec<Income>, ReconcileError> {
        let mut rows: Vec<Income> = Vec::new();
        let told = self.0.get(&(symbol.clone(), fill_id.clone())).into_iter().flatten().cloned();
        let booked = book.rows_of_trade(account, symbol, fill_id).await.doing("reading the income")?;
        for row in told.chain(booked.into_iter().map(|row| row.fact)) {
            if rows.iter().all(|known| known.key != row.key) {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}
