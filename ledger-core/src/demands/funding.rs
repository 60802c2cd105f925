//! What funding instants demand of whoever held a position, and whether the ledger's rows are of the right amount.

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::contract::Contract;
use crate::funding::Charge;
use crate::funding_rate::FundingRate;
use crate::id::Asset;
use crate::income::Income;
use crate::instrument::Instrument;
use crate::round_trip::Direction;
use crate::source::PositionSide;

use super::held::{HeldAround, HeldLeg};

/// One funding instant of a contract, with all that is on record of it.
#[derive(Debug, Clone, Copy)]
pub struct FundingCase<'a> {
    /// The contract.
    pub instrument: &'a Instrument,
    /// The venue's rate.
    pub rate: &'a FundingRate,
    /// The ledger's rows of the instant.
    pub rows: &'a [Income],
    /// What was held around it.
    pub held: &'a HeldAround,
}

/// Why nothing can be said of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FundingDoubt {
    /// What was held is not known.
    Position,
    /// Funding was paid, and nothing is known to have been held.
    Flat,
    /// The rate does not say at which mark price positions were valued.
    MarkPrice,
    /// It was paid in another asset than the contract pays in, so the amounts cannot be compared.
    Asset,
    /// An amount cannot be computed exactly.
    Range,
}

/// What is to be said of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FundingVerdict {
    /// No row is demanded, and none is wrong: the rate is 0, nothing was held, what was paid rounds to nothing, or what was
    /// held changed within the minute and may have been paid for or not.
    NotDemanded,
    /// All rows are there, of the right amount.
    Agrees,
    /// A row is missing: what it has to say, negative = paid.
    Missing {
        /// The amount.
        amount: Decimal,
    },
    /// The rows add up to another amount than what was held was paid.
    Differs {
        /// What they add up to.
        stated: Decimal,
        /// The least that it can have been, by the rate row's own mark price.
        least: Decimal,
        /// The most; the same, unless what was held changed.
        most: Decimal,
    },
    /// Nothing can be said.
    NotCheckable(FundingDoubt),
}

/// What one position was paid: the least and the most, and by how much that may be off.
#[derive(Clone, Copy)]
struct Paid {
    least: Decimal,
    most: Decimal,
    tolerance: Decimal,
    /// It was held all the time, and did not change: its row has to be there.
    is_certain: bool,
}

impl FundingCase<'_> {
    /// Holds the rows against the rate.
    pub fn judge(&self) -> FundingVerdict {
        self.verdict().unwrap_or(FundingVerdict::NotCheckable(FundingDoubt::Range))
    }

    fn verdict(&self) -> Result<FundingVerdict, MathError> {
        let stated = self.rows.iter().try_fold(Decimal::ZERO, |sum, row| sum.checked_add(row.amount))?;
        let is_silent = self.rows.iter().all(|row| row.amount.is_zero());
        if self.rate.rate.is_zero() && is_silent {
            return Ok(FundingVerdict::NotDemanded);
        }
        let doubt = |doubt| Ok(FundingVerdict::NotCheckable(doubt));
        let held: Vec<&HeldLeg> = self.held.legs.iter().filter(|leg| !leg.is_flat()).collect();
        if held.iter().any(|leg| leg.certainty != Certainty::Known) || self.has_lost_leg(&held) {
            return doubt(FundingDoubt::Position);
        }
        if held.is_empty() {
            return if is_silent { Ok(FundingVerdict::NotDemanded) } else { doubt(FundingDoubt::Flat) };
        }
        let is_of = |asset: &Asset| self.rows.iter().all(|row| row.key.asset == *asset);
        if !is_of(&self.instrument.settle_asset) {
            return doubt(FundingDoubt::Asset);
        }
        let contract = Contract::from(self.instrument);
        let Some(charge) = Charge::new(&contract, self.rate) else { return doubt(FundingDoubt::MarkPrice) };
        let mut paid = Vec::with_capacity(held.len());
        for leg in &held {
            let Some(of_leg) = Paid::of(&charge, leg) else { return doubt(FundingDoubt::Range) };
            paid.push(of_leg);
        }
        self.compare(&paid, stated, is_silent, self.may_hide_a_leg(&held))
    }

    fn compare(
        &self,
        paid: &[Paid],
        stated: Decimal,
        is_silent: bool,
        may_be_more: bool,
    ) -> Result<FundingVerdict, MathError> {
        let unit = Decimal::new(1, 8)?;
        let mut total = Paid { least: Decimal::ZERO, most: Decimal::ZERO, tolerance: Decimal::ZERO, is_certain: false };
        for one in paid {
            // A row that may be missing counts as nothing.
            let (least, most) = match (one.is_certain, paid.len()) {
                (false, 2..) => (one.least.min(Decimal::ZERO), one.most.max(Decimal::ZERO)),
                _ => (one.least, one.most),
            };
            total.least = total.least.checked_add(least)?;
            total.most = total.most.checked_add(most)?;
            total.tolerance = total.tolerance.checked_add(one.tolerance)?;
            total.is_certain |= one.is_certain;
        }
        if is_silent {
            // What rounds to nothing is in no ledger, nor is what two positions pay each other in one row.
            let may_be_nothing = total.least < unit && total.most > -unit;
            let amount = paid
                .iter()
                .filter(|one| one.is_certain)
                .try_fold(Decimal::ZERO, |sum, one| sum.checked_add(one.least))?;
            let is_demanded = total.is_certain && !may_be_nothing;
            return Ok(if is_demanded { FundingVerdict::Missing { amount } } else { FundingVerdict::NotDemanded });
        }
        let fits = |amount: Decimal, of: &Paid| -> Result<bool, MathError> {
            Ok(amount >= of.least.checked_sub(of.tolerance)? && amount <= of.most.checked_add(of.tolerance)?)
        };
        if fits(stated, &total)? {
            return self.each_fits(paid, fits);
        }
        if may_be_more {
            // The other position of the hedge may have been held unseen: its row is none of this one's.
            let has_row = |one: &Paid| self.rows.iter().any(|row| fits(row.amount, one).unwrap_or(false));
            let is_there = paid.iter().all(has_row);
            return Ok(if is_there {
                FundingVerdict::Agrees
            } else {
                FundingVerdict::NotCheckable(FundingDoubt::Position)
            });
        }
        // Of two rows one may be missing.
        if let [one, other] = paid
            && one.is_certain
            && other.is_certain
        {
            for (there, missing) in [(one, other), (other, one)] {
                if fits(stated, there)? && missing.least.abs() >= unit {
                    return Ok(FundingVerdict::Missing { amount: missing.least });
                }
            }
        }
        Ok(FundingVerdict::Differs { stated, least: total.least, most: total.most })
    }

    /// Rows that add up to what both positions of a hedge were paid: if there are two, each is of one of them.
    fn each_fits(
        &self,
        paid: &[Paid],
        fits: impl Fn(Decimal, &Paid) -> Result<bool, MathError>,
    ) -> Result<FundingVerdict, MathError> {
        let ([one, other], [a, b]) = (paid, self.rows) else { return Ok(FundingVerdict::Agrees) };
        let are_certain = one.is_certain && other.is_certain && !a.amount.is_zero() && !b.amount.is_zero();
        let (a, b) = (a.amount, b.amount);
        if !are_certain || (fits(a, one)? && fits(b, other)?) || (fits(a, other)? && fits(b, one)?) {
            return Ok(FundingVerdict::Agrees);
        }
        let of = if one.least.is_negative() == a.is_negative() { one } else { other };
        Ok(FundingVerdict::Differs { stated: a, least: of.least, most: of.most })
    }

    /// Whether a position that looks flat is not known to be, because something of it was lost.
    fn has_lost_leg(&self, held: &[&HeldLeg]) -> bool {
        let is_net = held.iter().any(|leg| leg.position_side == PositionSide::Net);
        let may_matter = |leg: &&HeldLeg| held.is_empty() || (leg.position_side == PositionSide::Net) == is_net;
        self.held.legs.iter().filter(may_matter).any(|leg| leg.certainty == Certainty::Unknown)
    }

    /// Whether the other position of a hedge looks flat and nothing proves it.
    fn may_hide_a_leg(&self, held: &[&HeldLeg]) -> bool {
        let is_hedge = |leg: &HeldLeg| leg.position_side != PositionSide::Net;
        let flat = self.held.legs.iter().filter(|leg| is_hedge(leg) && leg.is_flat());
        held.iter().any(|leg| is_hedge(leg)) && flat.into_iter().any(|leg| leg.certainty != Certainty::Known)
    }
}

impl Paid {
    fn of(charge: &Charge<'_>, leg: &HeldLeg) -> Option<Self> {
        let mut amounts = Vec::with_capacity(leg.sizes.len());
        let mut largest = Decimal::ZERO;
        for size in &leg.sizes {
            let direction = if size.is_negative() { Direction::Short } else { Direction::Long };
            amounts.push(if size.is_zero() { Decimal::ZERO } else { charge.signed(direction, size.abs())? });
            largest = largest.max(size.abs());
        }
        let (least, most) = (amounts.iter().copied().min()?, amounts.into_iter().max()?);
        Some(Self { least, most, tolerance: charge.tolerance(largest)?, is_certain: leg.unchanged().is_some() })
    }
}
