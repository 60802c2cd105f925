//! What ledger entries do to the fold: where each belongs is decided when its window closes.

use std::collections::VecDeque;

use crate::amount::{Decimal, MathError, Quantity, Value};
use crate::certainty::Certainty;
use crate::funding::{Charge, Share, attribute};
use crate::income::Income;
use crate::movement::{Movement, MovementKind, MovementOrigin};
use crate::order::ExitReason;
use crate::order_story::OrderContext;
use crate::round_trip::AssetTallies;
use crate::source::PositionSide;
use crate::time::TimestampMs;

use super::clearance;
use super::closed_trip::{Ended, WhereEnded};
use super::error::FoldError;
use super::open_trip::OpenTrip;
use super::side_fold::SideFold;
use super::watch::{Charged, Exit, ExitCause, Occupant, Seat, Waiting, Watch, Window, no_surer};
use super::{SymbolFold, Trade};

/// The positions that a contract can have.
pub(super) const SIDES: [PositionSide; 3] = [PositionSide::Net, PositionSide::Long, PositionSide::Short];

/// An amount on its way to where it belongs.
struct Placed<'a> {
    row: &'a Income,
    kind: MovementKind,
    /// `None` is the contract's own line.
    seat: Option<(PositionSide, Seat)>,
    amount: Decimal,
    certainty: Certainty,
}

impl SymbolFold {
    /// Opens a window.
    pub(super) fn open_window(
        &mut self,
        window: Option<Window>,
        movements: Option<&mut Vec<Movement>>,
    ) -> Result<(), FoldError> {
        let Some(mut window) = window else { return Ok(()) };
        let what = || "an entry of the ledger".to_owned();
        self.decide_until(window.from(), movements).map_err(|source| FoldError::Math { what: what(), source })?;
        for position_side in SIDES {
            let side = self.side(position_side);
            if let Some(trip) = side.trip.as_deref().filter(|trip| !trip.unseen) {
                let size = side.position.qty().map_err(|source| FoldError::Math { what: what(), source })?.abs();
                window.occupants.push(Occupant::from_before(position_side, trip.direction, size));
            }
        }
        self.watch.get_or_insert_default().windows.push(window);
        Ok(())
    }

    /// Decides every window that ends before `at`, or every one, and lets round trips go that no other waits for.
    #[cold]
    pub(super) fn decide_until(
        &mut self,
        at: impl Into<Option<TimestampMs>>,
        mut movements: Option<&mut Vec<Movement>>,
    ) -> Result<(), MathError> {
        let at = at.into();
        let Some(watch) = &mut self.watch else { return Ok(()) };
        watch.released.0.clear();
        let is_over = |window: &mut Window| at.is_none_or(|at| window.until < at);
        let mut over: VecDeque<Window> = watch.windows.extract_if(.., is_over).collect();
        while let Some(window) = over.pop_front() {
            let charged = self.decide(&window, movements.as_deref_mut())?;
            let later = self.watch.iter_mut().flat_map(|watch| &mut watch.windows);
            for window in over.iter_mut().chain(later) {
                for exit in &charged {
                    window.charge(exit);
                }
            }
        }
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let waits = |trip: &Ended| {
            let seat = Seat::Ended(trip.number);
            watch.windows.iter().any(|window| window.occupants.iter().any(|occupant| occupant.seat == seat))
        };
        // In the order in which they ended, so that their numbers count up.
        let free = watch.held.iter().position(waits).unwrap_or(watch.held.len());
        watch.released.0.extend(watch.held.drain(..free));
        if watch.windows.is_empty() && watch.released.0.is_empty() {
            self.watch = None;
        }
        Ok(())
    }

    /// Notes what an event at `at` left of a position, in every window that is open.
    #[cold]
    pub(super) fn observe(
        &mut self,
        position_side: PositionSide,
        at: TimestampMs,
        exit: Option<&Exit>,
    ) -> Result<(), MathError> {
        let side = super::trading::side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let ended = watch.held.last().filter(|_| self.done.ended == WhereEnded::InWatch);
        let open = side.trip.as_deref();
        let size = side.position.qty()?.abs();
        for window in &mut watch.windows {
            let counts = window.at;
            if let Some(Ended { number, trip, .. }) = ended {
                if window.occupant(position_side, Seat::Open).is_none() && !trip.unseen {
                    window.occupants.push(Occupant::newly_open(position_side, trip.direction));
                }
                // Where there is none, it was never seen opened, and has been over since before the window.
                if let Some(occupant) = window.occupant(position_side, Seat::Open) {
                    occupant.resize(Decimal::ZERO, at, counts);
                    occupant.exits.extend(exit.filter(|exit| exit.reduces).cloned());
                    occupant.seat = Seat::Ended(*number);
                }
            }
            let Some(trip) = open else { continue };
            if window.occupant(position_side, Seat::Open).is_none() {
                window.occupants.push(Occupant::newly_open(position_side, trip.direction));
            }
            let Some(occupant) = window.occupant(position_side, Seat::Open) else { continue };
            if trip.unseen {
                // How much was open is not known, only that something was, until now.
                occupant.held = (at >= counts).then_some(Decimal::ZERO);
                occupant.exits.extend(exit.cloned());
            } else {
                occupant.resize(size, at, counts);
                occupant.exits.extend(exit.filter(|exit| exit.reduces && ended.is_none()).cloned());
            }
        }
        Ok(())
    }

    /// The exit that a trade is, if it is one.
    pub(super) fn exit_of(&self, position_side: PositionSide, trade: &Trade<'_>) -> Option<Exit> {
        let held = &self.side(position_side).position;
        let reduces = !held.is_increased_by(trade.side);
        let closed = if reduces { held.qty().ok()?.abs().min(trade.qty.get()) } else { trade.qty.get() };
        let notional = || {
            let cost = self.contract.cost(trade.side, Quantity::new(closed).ok()?, *trade.price?).ok()?;
            Some(cost.to_decimal().ok()?.abs())
        };
        Some(Exit { at: trade.at, why: cause(trade.order), notional: notional(), reduces, is_charged: false })
    }

    /// Decides what waits in a window. Answers the exits that entries were taken for the cost of.
    fn decide(
        &mut self,
        window: &Window,
        mut movements: Option<&mut Vec<Movement>>,
    ) -> Result<Vec<Charged>, MathError> {
        match &window.waiting {
            Waiting::Funding { rows, rate } => {
                let charge = rate.as_ref().and_then(|rate| Charge::new(&self.contract, rate));
                let single = self.single_holder(&window.occupants);
                let placed = attribute(rows, rate.as_ref(), charge.as_ref(), &window.occupants, single);
                let seat = |index: usize| window.occupants.get(index).map(|it| (it.position_side, it.seat));
                for Share { row, occupant, amount, certainty } in &placed.shares {
                    let Some(row) = rows.get(*row) else { continue };
                    let is_candidate = occupant.is_some() || !window.occupants.is_empty();
                    let certainty = no_surer(window.is_doubted && is_candidate, *certainty);
                    let seat = occupant.and_then(seat);
                    let amount = Placed { row, kind: MovementKind::Funding, seat, amount: *amount, certainty };
                    self.book(&amount, movements.as_deref_mut())?;
                }
                for (index, asset) in &placed.doubted {
                    if let Some((position_side, seat)) = seat(*index) {
                        self.money_of(position_side, seat, |money| {
                            money.funding.add(asset, Value::ZERO, Certainty::Estimated)
                        })?;
                    }
                }
            }
            Waiting::Clearance { row, is_alone } => {
                let rate = self.liquidation_fee.filter(|_| row.key.asset == self.settle_asset);
                let Some(place) = clearance::place(row, *is_alone, rate, &window.occupants) else {
                    return Ok(Vec::new());
                };
                let occupant = place.occupant.and_then(|at| window.occupants.get(at));
                let seat = occupant.map(|it| (it.position_side, it.seat));
                let certainty = no_surer(window.is_doubted && occupant.is_some(), place.certainty);
                let amount = Placed { row, kind: MovementKind::Clearance, seat, amount: row.amount, certainty };
                self.book(&amount, movements)?;
                for other in place.doubted.iter().filter_map(|at| window.occupants.get(*at)) {
                    self.money_of(other.position_side, other.seat, |money| {
                        money.clearance.add(&row.key.asset, Value::ZERO, Certainty::Estimated)
                    })?;
                }
                let charged = occupant.into_iter().flat_map(|it| {
                    let exits = place.charged.iter().filter_map(|at| it.exits.get(*at));
                    exits.map(|exit| Charged { position_side: it.position_side, seat: it.seat, exit: exit.clone() })
                });
                return Ok(charged.collect());
            }
            Waiting::Settlement { rows } => self.settle(window, rows, movements)?,
        }
        Ok(Vec::new())
    }

    /// Of the other position of a hedge it is not known whether it is flat.
    fn single_holder(&self, occupants: &[Occupant]) -> Certainty {
        match occupants.first().map(|occupant| occupant.position_side) {
            Some(PositionSide::Long) => self.short.beginning.single_holder(),
            Some(PositionSide::Short) => self.long.beginning.single_holder(),
            _ => Certainty::Known,
        }
    }

    /// Adds an amount to where it belongs.
    fn book(&mut self, it: &Placed<'_>, movements: Option<&mut Vec<Movement>>) -> Result<(), MathError> {
        let amount = Value::from_decimal(it.amount)?;
        let asset = &it.row.key.asset;
        let kind = it.kind;
        let add = |money: Money<'_>| match kind {
            MovementKind::Clearance => money.clearance.add(asset, amount, it.certainty),
            _ => money.funding.add(asset, amount, it.certainty),
        };
        let is_placed = match it.seat {
            Some((position_side, seat)) => self.money_of(position_side, seat, add)?,
            None => false,
        };
        if !is_placed {
            add(Money { funding: &mut self.own_line.funding, clearance: &mut self.own_line.clearance })?;
        }
        if let Some(movements) = movements {
            let seat = it.seat.filter(|_| is_placed);
            movements.push(self.movement(it.row, kind, seat, Some(it.amount), it.certainty));
        }
        Ok(())
    }

    /// Changes the money of a round trip, and the totals of its position where it has ended. Answers whether it is there.
    fn money_of(
        &mut self,
        position_side: PositionSide,
        seat: Seat,
        mut change: impl FnMut(Money<'_>) -> Result<(), MathError>,
    ) -> Result<bool, MathError> {
        let held = self.watch.as_mut().map(|watch| &mut watch.held);
        let side = super::trading::side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        match seat {
            Seat::Open => {
                let Some(OpenTrip { funding, clearance, .. }) = side.trip.as_deref_mut() else { return Ok(false) };
                change(Money { funding, clearance })?;
            }
            Seat::Ended(number) => {
                let ended = held.and_then(|held| held.iter_mut().find(|ended| ended.number == number));
                let Some(ended) = ended else { return Ok(false) };
                let OpenTrip { funding, clearance, .. } = &mut *ended.trip;
                change(Money { funding, clearance })?;
                let SideFold { funding, clearance, .. } = side;
                change(Money { funding, clearance })?;
            }
        }
        Ok(true)
    }

    pub(super) fn movement(
        &self,
        row: &Income,
        kind: MovementKind,
        seat: Option<(PositionSide, Seat)>,
        amount: Option<Decimal>,
        certainty: Certainty,
    ) -> Movement {
        let trip = seat.and_then(|(position_side, seat)| {
            let trip = match seat {
                Seat::Open => self.side(position_side).trip.as_deref(),
                Seat::Ended(number) => self.watch.as_ref().and_then(|watch| watch.ended(number)),
            };
            Some(trip?.key(self, position_side))
        });
        Movement {
            at: row.time.at,
            trip,
            kind,
            asset: row.key.asset.clone(),
            amount,
            certainty,
            origin: MovementOrigin::Ledger(row.key.clone()),
            exchange_realized_pnl: None,
            tolerance: Decimal::ZERO,
        }
    }
}

impl Watch {
    /// The round trip that ended with this number.
    pub(super) fn ended(&self, number: u64) -> Option<&OpenTrip> {
        let ended = self.held.iter().chain(&self.released.0).find(|ended| ended.number == number);
        ended.map(|ended| &*ended.trip)
    }

    /// The same, to complete it.
    pub(super) fn ended_mut(&mut self, number: u64) -> Option<&mut Ended> {
        self.held.iter_mut().chain(&mut self.released.0).find(|ended| ended.number == number)
    }

    /// Keeps a round trip that has ended, for as long as a window may have something for it.
    pub(super) fn take_in(&mut self, ended: Ended) {
        if self.windows.is_empty() && self.held.is_empty() {
            self.released.0.push(ended);
        } else {
            self.held.push(ended);
        }
    }
}

/// What ledger entries add to.
struct Money<'a> {
    funding: &'a mut AssetTallies,
    clearance: &'a mut AssetTallies,
}

/// Who decided on an exit.
fn cause(order: Option<&OrderContext>) -> ExitCause {
    let Some(order) = order else { return ExitCause::Untold };
    match order.exit_reason() {
        // Forced without a word of why: what is charged for a liquidation behind it tells that it was one.
        ExitReason::Liquidation | ExitReason::Forced => ExitCause::Liquidation,
        ExitReason::Settlement => ExitCause::Settlement,
        ExitReason::Unknown if order.origin.is_none() && order.engine.is_none() => ExitCause::Untold,
        _ => ExitCause::Other,
    }
}
