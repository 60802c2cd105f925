//! Round trips: from flat to flat, or through a flip.

use crate::amount::{Decimal, MathError, Value};
use crate::certainty::{CertainTotal, Certainty};
use crate::fill::Fee;
use crate::id::{Asset, EngineLabel, FillId, Symbol};
use crate::names::stored_names;
use crate::order::ExitReason;
use crate::source::{PositionSide, Side};
use crate::time::TimestampMs;
use crate::trip_key::{Opening, TripKey};

/// Which way a position points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Gains when the price rises.
    Long,
    /// Gains when the price falls.
    Short,
}

stored_names!(Direction, "direction", { Long = "long", Short = "short" });

impl Direction {
    /// Where a trade on `side` leads from flat.
    pub(crate) fn opened_by(side: Side) -> Self {
        match side {
            Side::Buy => Self::Long,
            Side::Sell => Self::Short,
        }
    }

    /// The other one.
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Long => Self::Short,
            Self::Short => Self::Long,
        }
    }

    /// The sides of the trades that open it and that close it.
    pub(crate) fn sides(self) -> (Side, Side) {
        match self {
            Self::Long => (Side::Buy, Side::Sell),
            Self::Short => (Side::Sell, Side::Buy),
        }
    }

    /// What a trade on `side` closes.
    pub(crate) fn closed_by(side: Side) -> Self {
        Self::opened_by(side.opposite())
    }
}

/// A total in one asset. Amounts in different assets are never added.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AssetTotal {
    /// The asset.
    pub asset: Asset,
    /// The amount and how sure it is.
    pub total: CertainTotal,
}

/// A position from its opening to its close, or until now while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RoundTrip {
    /// The contract.
    pub symbol: Symbol,
    /// Which of its positions.
    pub position_side: PositionSide,
    /// Counts the round trips of a symbol, from 1, in the order in which they end; open ones come last. For display: an
    /// older fact, or a close in the other position of a hedge, renumbers what comes after. What refers to a round trip
    /// uses its [key](Self::key).
    pub number: u64,
    /// Long or short.
    pub direction: Direction,
    /// When it was opened; absent when the opening was never seen.
    pub opened_at: Option<TimestampMs>,
    /// When it was closed; absent while it is open.
    pub closed_at: Option<TimestampMs>,
    /// What began it.
    pub opening: Opening,
    /// The fill that closed it; absent while it is open, and where no recorded fill did: an inferred one or a statement.
    pub closed_by: Option<FillId>,
    /// Everything that was bought into it (sold, for a short), unsigned.
    pub entry_qty: Decimal,
    /// The average price of the entries, rounded half to even at 12 decimals; absent when unknown.
    pub entry_price_avg: Option<Decimal>,
    /// Everything that was taken out of it, unsigned.
    pub exit_qty: Decimal,
    /// The average price of the exits, rounded half to even at 12 decimals.
    pub exit_price_avg: Option<Decimal>,
    /// The largest size it had.
    pub qty_max: Decimal,
    /// The asset that profit is paid in.
    pub settle_asset: Asset,
    /// Realized profit before fees and funding, in the settle asset.
    pub gross: CertainTotal,
    /// What the exchange itself reported as realized for these fills, where it did for every closing one. Shown beside
    /// an unknown `gross`, never added to it.
    pub exchange_realized_pnl: Option<Decimal>,
    /// Fees paid, per asset: positive = paid.
    pub fees: Vec<AssetTotal>,
    /// Funding received, per asset: positive = received.
    pub funding: Vec<AssetTotal>,
    /// What liquidation cost beside the fees of its fills, per asset: negative = charged, positive = added by the
    /// exchange's insurance fund.
    pub clearance: Vec<AssetTotal>,
    /// Whether a part of it was closed by liquidation, were it the last or an earlier one.
    pub was_liquidated: bool,
    /// The strategy that opened it.
    pub engine: Option<EngineLabel>,
    /// Other strategies that traded in it.
    pub other_engines: Vec<EngineLabel>,
    /// Why it ended.
    pub exit_reason: ExitReason,
    /// How many fills it has.
    pub fill_count: u64,
    /// How sure its extent, its entries and its gross profit are: the weakest of them. Fees and funding carry their own
    /// certainty, in their totals.
    pub certainty: Certainty,
}

impl RoundTrip {
    /// Its name, which older facts do not change.
    pub fn key(&self) -> TripKey {
        TripKey { symbol: self.symbol.clone(), position_side: self.position_side, opening: self.opening.clone() }
    }

    /// The fill that opened it; absent when that was never seen or is still missing.
    pub fn opened_by(&self) -> Option<&FillId> {
        match &self.opening {
            Opening::Fill { fill_id, .. } => Some(fill_id),
            _ => None,
        }
    }

    /// Gross - fees + funding + clearance, per asset, the settle asset first.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn net(&self) -> Result<Vec<AssetTotal>, MathError> {
        let mut net = vec![AssetTotal { asset: self.settle_asset.clone(), total: self.gross }];
        for fee in &self.fees {
            let mut negative = fee.total;
            (negative.known, negative.estimated) = (-negative.known, -negative.estimated);
            total_of(&mut net, &fee.asset).merge(&negative)?;
        }
        for funding in &self.funding {
            total_of(&mut net, &funding.asset).merge(&funding.total)?;
        }
        for clearance in &self.clearance {
            total_of(&mut net, &clearance.asset).merge(&clearance.total)?;
        }
        Ok(net)
    }
}

/// The entry of `asset` in a list of totals, added when absent.
pub(crate) fn total_of<'a>(totals: &'a mut Vec<AssetTotal>, asset: &Asset) -> &'a mut CertainTotal {
    let at = totals.iter().position(|total| total.asset == *asset).unwrap_or_else(|| {
        totals.push(AssetTotal { asset: asset.clone(), total: CertainTotal::default() });
        totals.len() - 1
    });
    &mut totals[at].total
}

/// A [`CertainTotal`] in the making: a sum at the fixed scale of position math, its sure, estimated and untold parts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tally {
    known: Value,
    estimated: Value,
    has_estimates: bool,
    unknown_count: u64,
}

impl Tally {
    /// The sum of the parts that are known.
    #[inline]
    pub fn known(&self) -> Value {
        self.known
    }

    /// The sum of the parts that are estimated.
    #[inline]
    pub fn estimated(&self) -> Value {
        self.estimated
    }

    /// The same as decimals, with how sure it is.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn total(&self) -> Result<CertainTotal, MathError> {
        Ok(CertainTotal {
            known: self.known.to_decimal()?,
            estimated: self.estimated.to_decimal()?,
            has_estimates: self.has_estimates,
            unknown_count: self.unknown_count,
        })
    }

    #[inline]
    pub(crate) fn add(&mut self, amount: Value, certainty: Certainty) -> Result<(), MathError> {
        match certainty {
            Certainty::Known => self.known = self.known.checked_add(amount)?,
            Certainty::Estimated => {
                self.estimated = self.estimated.checked_add(amount)?;
                self.has_estimates = true;
            }
            Certainty::Unknown => self.unknown_count = self.unknown_count.saturating_add(1),
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), MathError> {
        self.known = self.known.checked_add(other.known)?;
        if !other.has_estimates && other.unknown_count == 0 {
            return Ok(());
        }
        self.estimated = self.estimated.checked_add(other.estimated)?;
        self.has_estimates |= other.has_estimates;
        self.unknown_count = self.unknown_count.saturating_add(other.unknown_count);
        Ok(())
    }

    pub(crate) fn sum(&self) -> Result<Value, MathError> {
        self.known.checked_add(self.estimated)
    }

    /// Turns every part into an unknown one: the basis of the sum has proven wrong.
    pub(crate) fn forget(&mut self, parts: u64) {
        *self = Self { unknown_count: self.unknown_count.max(parts).max(1), ..Self::default() };
    }
}

/// Tallies per asset, in the order in which assets first appeared. Nearly always there is one, which needs no memory of
/// its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct AssetTallies {
    first: Option<(Asset, Tally)>,
    others: Vec<(Asset, Tally)>,
}

impl AssetTallies {
    /// Adds an amount.
    #[inline]
    pub(crate) fn add(&mut self, asset: &Asset, amount: Value, certainty: Certainty) -> Result<(), MathError> {
        match &mut self.first {
            Some((first, tally)) if first == asset => tally.add(amount, certainty),
            _ => self.of(asset).add(amount, certainty),
        }
    }

    /// Whether `asset` is the first one.
    #[inline]
    pub(crate) fn is_first(&self, asset: &Asset) -> bool {
        self.first.as_ref().is_some_and(|(first, _)| first == asset)
    }

    /// Adds an amount that is known, of an asset of which it is known whether it [is the first](Self::is_first).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of what every fill needs, and smaller than a call")]
    pub(crate) fn add_known(&mut self, is_first: bool, asset: &Asset, amount: Value) -> Result<(), MathError> {
        match &mut self.first {
            Some((_, tally)) if is_first => tally.add(amount, Certainty::Known),
            _ => self.of(asset).add(amount, Certainty::Known),
        }
    }

    #[cold]
    pub(crate) fn of(&mut self, asset: &Asset) -> &mut Tally {
        if self.first.as_ref().is_none_or(|(first, _)| first == asset) {
            return &mut self.first.get_or_insert_with(|| (asset.clone(), Tally::default())).1;
        }
        let at = self.others.iter().position(|(known, _)| known == asset).unwrap_or_else(|| {
            self.others.push((asset.clone(), Tally::default()));
            self.others.len() - 1
        });
        &mut self.others[at].1
    }

    /// Holds `amount`, which is known, and nothing else.
    #[inline]
    pub(crate) fn begin(&mut self, asset: &Asset, amount: Value) {
        let begun = Tally { known: amount, ..Tally::default() };
        match &mut self.first {
            Some((first, tally)) if first == asset => *tally = begun,
            first => *first = Some((asset.clone(), begun)),
        }
        self.others.clear();
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.others.clear();
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Asset, &Tally)> {
        self.first.iter().chain(&self.others).map(|(asset, tally)| (asset, tally))
    }

    #[inline]
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), MathError> {
        // Without a first one there are no others.
        let Some((asset, more)) = &other.first else { return Ok(()) };
        match &mut self.first {
            Some((here, tally)) if here == asset => tally.merge(more)?,
            _ => self.of(asset).merge(more)?,
        }
        if other.others.is_empty() { Ok(()) } else { self.merge_others(other) }
    }

    #[cold]
    fn merge_others(&mut self, other: &Self) -> Result<(), MathError> {
        other.others.iter().try_for_each(|(asset, tally)| self.of(asset).merge(tally))
    }

    /// By asset name, so that equal sums are equal whatever the order of events.
    pub(crate) fn totals(&self) -> Result<Vec<AssetTotal>, MathError> {
        let mut totals = Vec::with_capacity(usize::from(self.first.is_some()) + self.others.len());
        for (asset, tally) in self.iter() {
            totals.push(AssetTotal { asset: asset.clone(), total: tally.total()? });
        }
        totals.sort_by(|a, b| a.asset.cmp(&b.asset));
        Ok(totals)
    }
}

/// A fee as a value with its asset; an unstated fee is an unknown amount in the settle asset.
#[inline]
pub(crate) fn fee_parts<'a>(
    fee: Option<&'a Fee>,
    settle_asset: &'a Asset,
    certainty: Certainty,
) -> Result<(&'a Asset, Value, Certainty), MathError> {
    match fee {
        Some(fee) => Ok((&fee.asset, Value::from_decimal(fee.amount)?, certainty)),
        None => Ok((settle_asset, Value::ZERO, Certainty::Unknown)),
    }
}
