//! Income: the exchange's own ledger of everything that moved the wallet.

use crate::amount::Decimal;
use crate::id::{Asset, FillId, Label, Symbol, TranId};
use crate::merge::{Fact, Joiner};
use crate::source::IncomeType;
use crate::time::EventTime;

/// What identifies an income row within an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IncomeKey {
    /// The kind of entry; transaction ids are unique within one.
    pub income_type: IncomeType,
    /// The exchange's transaction id, else a digest of the row and its ordinal among identical rows.
    pub tran_id: TranId,
    /// The contract; absent for transfers and the like.
    pub symbol: Option<Symbol>,
    /// The asset that moved.
    pub asset: Asset,
}

/// One entry of the exchange's ledger. Positive = the wallet grew.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Income {
    /// Type, transaction, symbol and asset.
    pub key: IncomeKey,
    /// The amount, signed as the wallet saw it; a fee paid is negative here.
    pub amount: Decimal,
    /// When, by the exchange's clock.
    pub time: EventTime,
    /// The fill it belongs to, where the exchange says.
    pub fill_id: Option<FillId>,
    /// The exchange's remark.
    pub info: Option<Label>,
}

impl Fact for Income {
    type Key = IncomeKey;

    fn key(&self) -> IncomeKey {
        self.key.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            key: self.key.clone(),
            amount: j.amount("amount", Some(&self.amount), Some(&other.amount)).unwrap_or(self.amount),
            time: j.time("ts", Some(&self.time), Some(&other.time)).unwrap_or(self.time),
            fill_id: j.optional("fill_id", self.fill_id.as_ref(), other.fill_id.as_ref()),
            info: j.optional("info", self.info.as_ref(), other.info.as_ref()),
        }
    }
}
