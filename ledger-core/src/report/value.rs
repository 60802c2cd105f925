//! What a round trip earned, in the asset that it settles in: fees and funding in other assets count at their price.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_fee_in_another_asset_counts_at_its_price`.
//! 2. `without_a_price_a_fee_that_could_turn_the_result_leaves_it_unknown`, else it is an estimate before that fee.
//! 3. `a_price_is_the_nearest_within_a_minute`, and one asset is never taken for another.
//! 4. `two_prices_in_a_third_asset_value_a_fee_by_estimate`.

use std::collections::{BTreeMap, BTreeSet};

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::id::{Asset, Symbol};
use crate::movement::Movement;
use crate::round_trip::RoundTrip;
use crate::snapshot::{PriceKind, PriceSnapshot};
use crate::time::TimestampMs;

/// How far from an instant its price may have been recorded.
const PRICE_DISTANCE_MS_MAX: i64 = 60_000;
/// The digits after the point that a valued amount is rounded to, half to even: those of a wallet.
const VALUE_SCALE: u8 = 8;
/// The digits after the point of a price that is worked out from two others.
const CROSS_SCALE: u8 = 12;
/// The assets in which others are priced, if not in each other.
const BRIDGES: [&str; 2] = ["USDT", "USDC"];

/// Recorded prices of assets in other assets.
#[derive(Debug, Clone, Default)]
pub struct AssetPrices {
    prices: BTreeMap<Symbol, BTreeMap<TimestampMs, Decimal>>,
}

impl AssetPrices {
    /// The contract whose price values `asset` in `settle_asset`: `BNBUSDT` for BNB in USDT. `None` where the names of
    /// the assets make no such name.
    pub fn pair(asset: &Asset, settle_asset: &Asset) -> Option<Symbol> {
        Symbol::new(format!("{asset}{settle_asset}")).ok()
    }

    /// Whether there is any price of this contract.
    pub fn has(&self, pair: &Symbol) -> bool {
        self.prices.contains_key(pair)
    }

    /// Adds a recorded price. Of one instant a mark price stands against the close of a minute.
    pub fn add(&mut self, price: &PriceSnapshot) {
        let known = self.prices.entry(price.symbol.clone()).or_default().entry(price.at);
        match price.kind {
            PriceKind::Mark => {
                known.insert_entry(price.price.get());
            }
            PriceKind::KlineClose => {
                known.or_insert(price.price.get());
            }
        }
    }

    /// What one unit of `asset` was worth in `settle_asset`: the price recorded nearest to `at`, at most a minute away,
    /// the earlier of two. An asset is worth one of itself; USDC is not USDT.
    pub fn price(&self, asset: &Asset, settle_asset: &Asset, at: TimestampMs) -> Option<Decimal> {
        if asset == settle_asset {
            return Some(Decimal::ONE);
        }
        self.nearest(&Self::pair(asset, settle_asset)?, at)
    }

    /// The price of a contract that was recorded nearest to `at`.
    fn nearest(&self, pair: &Symbol, at: TimestampMs) -> Option<Decimal> {
        let known = self.prices.get(pair)?;
        let before = known.range(..=at).next_back();
        let after = known.range(at..).next();
        let distance = |other: &TimestampMs| (other.as_ms() - at.as_ms()).abs();
        let nearest = before.into_iter().chain(after).min_by_key(|(other, _)| distance(other));
        nearest.filter(|(other, _)| distance(other) <= PRICE_DISTANCE_MS_MAX).map(|(_, price)| *price)
    }

    /// The contracts whose prices together value `asset` in `settle_asset`, in the order in which they are tried: `BNBUSDT`
    /// and `USDCUSDT` for BNB in USDC.
    pub fn crosses<'a>(asset: &'a Asset, settle_asset: &'a Asset) -> impl Iterator<Item = [Symbol; 2]> + 'a {
        let bridges = BRIDGES.iter().filter_map(|name| Asset::new(*name).ok());
        let bridges = bridges.filter(move |bridge| bridge != asset && bridge != settle_asset);
        bridges.filter_map(|bridge| Some([Self::pair(asset, &bridge)?, Self::pair(settle_asset, &bridge)?]))
    }

    /// What one unit of `asset` was worth in `settle_asset` by two prices of that moment in a third asset, with the names of
    /// their contracts.
    fn cross(&self, asset: &Asset, settle_asset: &Asset, at: TimestampMs) -> Option<(Decimal, [Symbol; 2])> {
        Self::crosses(asset, settle_asset).find_map(|pairs| {
            let [own, settle] = pairs.each_ref().map(|pair| self.nearest(pair, at));
            Some((own?.div_round(settle?, CROSS_SCALE).ok()?, pairs))
        })
    }
}

/// A round trip's amounts in assets other than the one that it settles in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OtherAssets {
    /// The sum of what has a price, in the settle asset.
    valued: Decimal,
    /// How what has no price of its own was valued.
    crossed: BTreeSet<String>,
    /// Amounts that have none.
    unpriced: BTreeMap<Asset, Unpriced>,
}

/// Which way amounts without a price go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unpriced {
    has_costs: bool,
    has_gains: bool,
}

impl OtherAssets {
    /// Adds an amount of the trip, at its own moment's price. Amounts in the settle asset are left alone.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add(&mut self, movement: &Movement, settle_asset: &Asset, prices: &AssetPrices) -> Result<(), MathError> {
        if movement.asset == *settle_asset {
            return Ok(());
        }
        let mut price = prices.price(&movement.asset, settle_asset, movement.at);
        if price.is_none()
            && movement.amount.is_some_and(|amount| !amount.is_zero())
            && let Some((crossed, [own, settle])) = prices.cross(&movement.asset, settle_asset, movement.at)
        {
            self.crossed.insert(format!("{} by {own} / {settle}", movement.asset));
            price = Some(crossed);
        }
        match (movement.amount, price) {
            (Some(amount), _) if amount.is_zero() => {}
            (Some(amount), Some(price)) => {
                self.valued = self.valued.checked_add(amount.checked_mul_round(price, VALUE_SCALE)?)?;
            }
            (amount, _) => {
                let unpriced = self.unpriced.entry(movement.asset.clone()).or_default();
                unpriced.has_costs |= amount.is_none_or(Decimal::is_negative);
                unpriced.has_gains |= amount.is_none_or(Decimal::is_positive);
            }
        }
        Ok(())
    }

    /// The amounts of a trip whose movements are not at hand: none of them has a price.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn unpriced(trip: &RoundTrip) -> Result<Self, MathError> {
        let mut other = Self::default();
        for total in trip.net()?.into_iter().filter(|total| total.asset != trip.settle_asset) {
            let amount = total.total.amount()?;
            let is_unknown = total.total.certainty() == Certainty::Unknown;
            if is_unknown || !amount.is_zero() {
                let unpriced = Unpriced {
                    has_costs: is_unknown || amount.is_negative(),
                    has_gains: is_unknown || amount.is_positive(),
                };
                other.unpriced.insert(total.asset, unpriced);
            }
        }
        Ok(other)
    }
}

/// What a round trip earned, in its settle asset, as far as that can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TripValue {
    /// Gross, fees, funding and clearance, those in other assets at their price.
    pub(super) net: Decimal,
    /// How sure it is. Unknown: it may be on the other side of zero.
    pub(super) certainty: Certainty,
    /// Whether what it earned in the settle asset itself is not unknown.
    pub(super) is_own_known: bool,
    /// The assets of which amounts are missing in it, because they have no price.
    pub(super) before: BTreeSet<Asset>,
    /// Which amounts count at a price that two others make, and which: `BNB by BNBUSDT / USDCUSDT`.
    pub(super) crossed: BTreeSet<String>,
}

impl TripValue {
    pub(super) fn of(trip: &RoundTrip, other: &OtherAssets) -> Result<Self, MathError> {
        let own = trip.net()?.into_iter().find(|total| total.asset == trip.settle_asset);
        let own = own.map(|total| total.total).unwrap_or_default();
        let net = own.amount()?.checked_add(other.valued)?;
        let turns = |unpriced: &Unpriced| match (net.is_positive(), net.is_negative()) {
            (true, _) => unpriced.has_costs,
            (_, true) => unpriced.has_gains,
            _ => true,
        };
        let certainty = if other.unpriced.values().any(turns) {
            Certainty::Unknown
        } else if other.unpriced.is_empty() && other.crossed.is_empty() {
            own.certainty()
        } else {
            own.certainty().max(Certainty::Estimated)
        };
        let is_own_known = own.certainty() != Certainty::Unknown;
        Ok(Self {
            net,
            certainty,
            is_own_known,
            before: other.unpriced.keys().cloned().collect(),
            crossed: other.crossed.clone(),
        })
    }
}
