//! Where what is held would be liquidated, as the exchange's answer about positions says.

use exchange_client::{Answer, VenueFacts};
use ledger_core::PositionSnapshot;
use ledger_store::SeenLiquidation;

/// One for each position that is held and could be liquidated.
pub(crate) fn liquidations(venue: &VenueFacts, answer: &Answer<PositionSnapshot>) -> Vec<SeenLiquidation> {
    let held = answer.rows.iter().filter(|row| !row.entity.qty.is_zero());
    let seen = held.filter_map(|row| {
        let (mark_price, liquidation_price) = venue.liquidation_of(&row.payload)?;
        let PositionSnapshot { symbol, position_side, qty, .. } = row.entity.clone();
        Some(SeenLiquidation { symbol, position_side, qty, mark_price, liquidation_price })
    });
    seen.collect()
}
