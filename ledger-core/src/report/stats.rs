//! The figures of a group of round trips.

use std::collections::{BTreeMap, BTreeSet};

use super::value::{OtherAssets, TripValue};
use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::id::Asset;
use crate::movement::{Movement, MovementKind};
use crate::round_trip::{AssetTotal, RoundTrip, total_of};

/// The figures of a group of round trips.
///
/// Counts, factor, expectancy and drawdown are about whole round trips, by what each earned in its settle asset with
/// amounts in other assets at their price. The amounts are those of the trips, or in a report by time those that
/// happened in the span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TripStats {
    /// How many round trips closed.
    pub trip_count: u64,
    /// How many of them ended with a profit after everything, in the settle asset.
    pub win_count: u64,
    /// How many ended with a loss.
    pub loss_count: u64,
    /// How many are not known to have won or lost.
    pub unknown_count: u64,
    /// How many of these only because an amount in another asset has no recorded price.
    pub unpriced_count: u64,
    /// How many more, of which nothing is known, may belong to them: no figure holds them, and every amount has them as
    /// unknown parts.
    pub left_out_count: u64,
    /// How many contracts cannot be computed, or not as a whole, and may have round trips among these: likewise.
    pub uncomputed_count: u64,
    /// Realized profit before fees and funding, per settle asset.
    pub gross: Vec<AssetTotal>,
    /// The same as the exchange itself states it, per settle asset: also where the book cannot compute it.
    pub exchange_gross: Vec<AssetTotal>,
    /// Fees, per asset: positive = paid.
    pub fees: Vec<AssetTotal>,
    /// Funding, per asset: positive = received.
    pub funding: Vec<AssetTotal>,
    /// What liquidations cost beside their fees, per asset: negative = paid.
    pub clearance: Vec<AssetTotal>,
    /// Everything together, per asset: gross - fees + funding + clearance.
    pub net: Vec<AssetTotal>,
    /// Which part of `net` is dated before the period, per asset: round trips count whole by when they closed. Empty in
    /// a report by time, and in one without a beginning.
    pub carried_in: Vec<AssetTotal>,
    /// What the trips earned in their settle assets, amounts in other assets at their price. Trips whose result is
    /// unknown are unknown parts of it.
    pub valued: Vec<AssetTotal>,
    /// The assets of which amounts have no recorded price: counts, factor, expectancy and drawdown are before them.
    pub before_fees_in: BTreeSet<Asset>,
    /// Which amounts count in them at a price that two others make, and which: `BNB by BNBUSDT / USDCUSDT`.
    pub crossed_fees: BTreeSet<String>,
    /// The largest fall of the cumulated result from an earlier high, per settle asset, over trips in closing order;
    /// unknown amounts do not count.
    pub drawdown_max: Vec<(Asset, Decimal)>,
    profits: BTreeMap<Asset, Decimal>,
    losses: BTreeMap<Asset, Decimal>,
    curves: BTreeMap<Asset, Curve>,
}

/// A cumulated result and its high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Curve {
    trip_count: i64,
    sum: Decimal,
    high: Decimal,
    drawdown: Decimal,
}

impl TripStats {
    /// Round trips won / (won + lost + even), rounded half to even at 4 decimals; `None` when none is known.
    pub fn win_rate(&self) -> Option<Decimal> {
        let known = i64::try_from(self.trip_count - self.unknown_count).ok().filter(|known| *known > 0)?;
        let won = i64::try_from(self.win_count).ok()?;
        Decimal::from(won).div_round(Decimal::from(known), 4).ok()
    }

    /// The sum of winning results / the sum of losing ones, per settle asset, rounded half to even at 4 decimals; absent
    /// where nothing was lost.
    pub fn profit_factor(&self) -> Vec<(Asset, Decimal)> {
        let factor = |(asset, lost): (&Asset, &Decimal)| {
            let won = self.profits.get(asset).copied().unwrap_or_default();
            Some((asset.clone(), won.div_round(lost.abs(), 4).ok()?))
        };
        self.losses.iter().filter_map(factor).collect()
    }

    /// The mean result of a round trip, per settle asset, rounded half to even at 8 decimals. Those whose result is
    /// unknown ([`unknown_count`](Self::unknown_count)) are left out.
    pub fn expectancy(&self) -> Vec<(Asset, Decimal)> {
        let mean = |(asset, curve): (&Asset, &Curve)| {
            Some((asset.clone(), curve.sum.div_round(Decimal::from(curve.trip_count), 8).ok()?))
        };
        self.curves.iter().filter_map(mean).collect()
    }

    fn lacks_something(&self) -> bool {
        self.left_out_count > 0 || self.uncomputed_count > 0
    }

    /// How sure counts, factor, expectancy and drawdown are.
    pub fn result_certainty(&self) -> Certainty {
        if self.lacks_something() {
            return Certainty::Unknown;
        }
        self.valued.iter().map(|total| total.total.certainty()).max().unwrap_or_default()
    }

    /// The weakest certainty of any amount.
    pub fn certainty(&self) -> Certainty {
        if self.lacks_something() {
            return Certainty::Unknown;
        }
        let totals = [&self.gross, &self.fees, &self.funding, &self.clearance];
        totals.into_iter().flatten().map(|total| total.total.certainty()).max().unwrap_or_default()
    }

    /// Adds a round trip, whether it has closed or not: its amounts and its result.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add(&mut self, trip: &RoundTrip, other: &OtherAssets) -> Result<(), MathError> {
        total_of(&mut self.gross, &trip.settle_asset).merge(&trip.gross)?;
        let stated = total_of(&mut self.exchange_gross, &trip.settle_asset);
        match trip.exchange_realized_pnl {
            Some(amount) => stated.add(amount, Certainty::Known)?,
            None => stated.add(Decimal::ZERO, Certainty::Unknown)?,
        }
        add_all(&mut self.fees, &trip.fees)?;
        add_all(&mut self.funding, &trip.funding)?;
        add_all(&mut self.clearance, &trip.clearance)?;
        add_all(&mut self.net, &trip.net()?)?;
        self.add_result(trip, other)
    }

    /// Adds what a round trip earned, without its amounts.
    pub(super) fn add_result(&mut self, trip: &RoundTrip, other: &OtherAssets) -> Result<(), MathError> {
        self.trip_count += 1;
        let TripValue { net, certainty, is_own_known, before, crossed } = TripValue::of(trip, other)?;
        self.before_fees_in.extend(before);
        self.crossed_fees.extend(crossed);
        let asset = &trip.settle_asset;
        total_of(&mut self.valued, asset).add(net, certainty)?;
        if certainty == Certainty::Unknown {
            self.unknown_count += 1;
            self.unpriced_count += u64::from(is_own_known);
            return Ok(());
        }
        if net.is_positive() {
            self.win_count += 1;
            add(&mut self.profits, asset, net)?;
        } else if net.is_negative() {
            self.loss_count += 1;
            add(&mut self.losses, asset, net)?;
        }
        let curve = self.curves.entry(asset.clone()).or_default();
        curve.trip_count += 1;
        curve.sum = curve.sum.checked_add(net)?;
        curve.high = curve.high.max(curve.sum);
        curve.drawdown = curve.drawdown.max(curve.high.checked_sub(curve.sum)?);
        Ok(())
    }

    /// Adds a single amount.
    pub(super) fn add_movement(&mut self, movement: &Movement) -> Result<(), MathError> {
        let asset = &movement.asset;
        let (amount, certainty) = match movement.amount {
            Some(amount) => (amount, movement.certainty),
            None => (Decimal::ZERO, Certainty::Unknown),
        };
        total_of(&mut self.net, asset).add(amount, certainty)?;
        match movement.kind {
            MovementKind::Realized => {
                total_of(&mut self.gross, asset).add(amount, certainty)?;
                let stated = total_of(&mut self.exchange_gross, asset);
                match movement.exchange_realized_pnl {
                    Some(amount) => stated.add(amount, Certainty::Known),
                    None => stated.add(Decimal::ZERO, Certainty::Unknown),
                }
            }
            MovementKind::Fee => total_of(&mut self.fees, asset).add(-amount, certainty),
            MovementKind::Funding => total_of(&mut self.funding, asset).add(amount, certainty),
            MovementKind::Clearance => total_of(&mut self.clearance, asset).add(amount, certainty),
        }
    }

    /// Takes the certainty from every amount in `asset`: something in it is not explained.
    pub(super) fn doubt(&mut self, asset: &Asset) -> Result<(), MathError> {
        let totals = [
            &mut self.gross,
            &mut self.fees,
            &mut self.funding,
            &mut self.clearance,
            &mut self.net,
            &mut self.carried_in,
            &mut self.valued,
        ];
        for total in totals.into_iter().flatten().filter(|total| total.asset == *asset) {
            let total = &mut total.total;
            total.estimated = total.estimated.checked_add(total.known)?;
            (total.known, total.has_estimates) = (Decimal::ZERO, true);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, left_out_count: u64, uncomputed_count: u64) {
        self.left_out_count = left_out_count;
        self.uncomputed_count = uncomputed_count;
        let totals = [
            &mut self.gross,
            &mut self.exchange_gross,
            &mut self.fees,
            &mut self.funding,
            &mut self.clearance,
            &mut self.net,
            &mut self.valued,
        ];
        for totals in totals {
            totals.sort_by(|a, b| a.asset.cmp(&b.asset));
            for total in totals.iter_mut() {
                total.total.unknown_count += left_out_count + uncomputed_count;
            }
        }
        self.carried_in.sort_by(|a, b| a.asset.cmp(&b.asset));
        self.drawdown_max = self.curves.iter().map(|(asset, curve)| (asset.clone(), curve.drawdown)).collect();
    }
}

fn add(to: &mut BTreeMap<Asset, Decimal>, asset: &Asset, amount: Decimal) -> Result<(), MathError> {
    let sum = to.entry(asset.clone()).or_default();
    *sum = sum.checked_add(amount)?;
    Ok(())
}

pub(super) fn add_all(to: &mut Vec<AssetTotal>, from: &[AssetTotal]) -> Result<(), MathError> {
    from.iter().try_for_each(|total| total_of(to, &total.asset).merge(&total.total))
}
