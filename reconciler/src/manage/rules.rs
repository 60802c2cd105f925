//! The rules by which an engine's positions are looked after.

use std::collections::BTreeSet;

use ledger_core::{Decimal, Quantity};
use thiserror::Error;

/// How a distance counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Percent of the price from which it counts.
    Price,
    /// Percent of the margin that the position was opened with: a distance in the price times the leverage at the opening.
    Roe,
}

/// From where a distance counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The exchange's average entry, without fees.
    Entry,
    /// The price at which closing the position leaves neither profit nor loss: fees paid, funding, and the fee of a closing
    /// order that takes.
    BreakEven,
}

/// Which price decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The mark price.
    Mark,
    /// The price of the last trade.
    Last,
}

/// A distance of the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Distance {
    /// How much, in percent; above 0.
    pub percent: Decimal,
    /// Of what.
    pub unit: Unit,
    /// From where.
    pub basis: Basis,
}

/// When a position is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopRule {
    /// How far the price has moved against it.
    pub distance: Distance,
    /// Whether the stop rests at the exchange as well. It should: the exchange watches when nobody else does.
    pub rests: bool,
}

/// When a profit is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeProfitRule {
    /// How far the price has moved in favour of the position.
    pub distance: Distance,
    /// How much of the largest quantity that the position had is closed, in percent; above 0, at most 100.
    pub share_percent: Decimal,
    /// Whether the order rests at the exchange.
    pub rests: bool,
}

/// When a profit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailingRule {
    /// How far the price has to have moved in favour of the position before anything follows it.
    pub arms_at: Distance,
    /// How far it may turn back from its best value since, in percent of that value.
    pub callback_percent: Decimal,
}

/// From where the distance of an addition counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddBasis {
    /// The average price of the last own entry or addition.
    LastEntry,
    /// The exchange's average entry.
    Average,
}

/// When a position that the price has moved against is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddRule {
    /// How far the price has moved against it, in percent of the price.
    pub distance_percent: Decimal,
    /// From where.
    pub basis: AddBasis,
    /// How much is added in a step.
    pub qty: Quantity,
    /// How many steps there may be.
    pub steps_max: u32,
    /// How much the position may cost in all, in the asset that the contract is quoted in: all entries, with their fees and with those
    /// that rest or are undecided at their full size.
    pub budget: Option<Decimal>,
}

/// The rules of an engine, checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    stop: Option<StopRule>,
    take_profits: Vec<TakeProfitRule>,
    trailing: Option<TrailingRule>,
    time_limit_ms: Option<i64>,
    add: Option<AddRule>,
    trigger: Trigger,
}

/// What an engine's rules are to be, unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesDraft {
    /// See [`StopRule`].
    pub stop: Option<StopRule>,
    /// From the nearest to the farthest.
    pub take_profits: Vec<TakeProfitRule>,
    /// See [`TrailingRule`].
    pub trailing: Option<TrailingRule>,
    /// How long a position may be held, in ms from the first fill of its plan.
    pub time_limit_ms: Option<i64>,
    /// See [`AddRule`].
    pub add: Option<AddRule>,
    /// Which price decides, for rules and for orders that rest alike; the mark price if nothing is said.
    pub trigger: Option<Trigger>,
}

/// What is wrong with rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum RulesFault {
    /// There are none.
    #[error("there is no rule")]
    Empty,
    /// A distance is 0 or less.
    #[error("a distance has to be above 0 %")]
    Distance,
    /// A stop at or beyond a price of 0.
    #[error("a stop has to be nearer than 100 % of the price")]
    StopBeyondZero,
    /// A share is not above 0, or above 100.
    #[error("the share of a take-profit has to be above 0 and at most 100 %")]
    Share,
    /// Shares of more than everything.
    #[error("the shares of the take-profits add up to more than 100 %")]
    Shares,
    /// Take-profits out of order.
    #[error(
        "take-profits go from the nearest to the farthest, each farther than the one before, in one unit and from one basis"
    )]
    TakeProfitOrder,
    /// A callback that no price can make.
    #[error("the callback of a trailing stop has to be above 0 and below 100 %")]
    Callback,
    /// A time limit of nothing.
    #[error("a time limit has to be above 0")]
    TimeLimit,
    /// Additions that can never be made.
    #[error(
        "additions need a distance above 0 and below 100 %, at least one step, and a budget above 0 where there is one"
    )]
    Additions,
    /// Additions without an end.
    #[error("additions need a stop: they make a loss larger, and nothing ends it")]
    AdditionsWithoutStop,
}

impl Rules {
    /// Checks rules as a whole.
    ///
    /// # Errors
    /// All that is wrong with them, each kind once.
    pub fn new(draft: RulesDraft) -> Result<Self, BTreeSet<RulesFault>> {
        let mut faults = BTreeSet::new();
        let hundred = Decimal::from(100);
        let is_share = |percent: Decimal| percent.is_positive() && percent <= hundred;
        let within = |percent: Decimal| percent.is_positive() && percent < hundred;
        let distances = draft.stop.iter().map(|stop| stop.distance);
        let distances = distances.chain(draft.take_profits.iter().map(|rule| rule.distance));
        let mut distances = distances.chain(draft.trailing.iter().map(|rule| rule.arms_at));
        let checks = [
            (RulesFault::Empty, draft != RulesDraft { trigger: draft.trigger, ..RulesDraft::default() }),
            (RulesFault::Distance, distances.all(|distance| distance.percent.is_positive())),
            (
                RulesFault::StopBeyondZero,
                draft.stop.is_none_or(|stop| stop.distance.unit == Unit::Roe || stop.distance.percent < hundred),
            ),
            (RulesFault::Share, draft.take_profits.iter().all(|rule| is_share(rule.share_percent))),
            (RulesFault::Shares, sum(&draft.take_profits).is_some_and(|sum| sum <= hundred)),
            (RulesFault::TakeProfitOrder, is_ascending(&draft.take_profits)),
            (RulesFault::Callback, draft.trailing.is_none_or(|rule| within(rule.callback_percent))),
            (RulesFault::TimeLimit, draft.time_limit_ms.is_none_or(|ms| ms > 0)),
            (
                RulesFault::Additions,
                draft.add.is_none_or(|add| {
                    let has_budget = add.budget.is_none_or(Decimal::is_positive);
                    within(add.distance_percent) && add.steps_max > 0 && has_budget
                }),
            ),
            (RulesFault::AdditionsWithoutStop, draft.add.is_none() || draft.stop.is_some()),
        ];
        faults.extend(checks.into_iter().filter(|(_, holds)| !holds).map(|(fault, _)| fault));
        if !faults.is_empty() {
            return Err(faults);
        }
        let RulesDraft { stop, take_profits, trailing, time_limit_ms, add, trigger } = draft;
        Ok(Self { stop, take_profits, trailing, time_limit_ms, add, trigger: trigger.unwrap_or(Trigger::Mark) })
    }

    /// When a position is given up.
    pub fn stop(&self) -> Option<&StopRule> {
        self.stop.as_ref()
    }

    /// When profits are taken, from the nearest to the farthest.
    pub fn take_profits(&self) -> &[TakeProfitRule] {
        &self.take_profits
    }

    /// When a profit is kept.
    pub fn trailing(&self) -> Option<&TrailingRule> {
        self.trailing.as_ref()
    }

    /// How long a position may be held, in ms.
    pub fn time_limit_ms(&self) -> Option<i64> {
        self.time_limit_ms
    }

    /// When a position is added to.
    pub fn add(&self) -> Option<&AddRule> {
        self.add.as_ref()
    }

    /// Which price decides.
    pub fn trigger(&self) -> Trigger {
        self.trigger
    }
}

fn sum(rules: &[TakeProfitRule]) -> Option<Decimal> {
    rules.iter().try_fold(Decimal::ZERO, |sum, rule| sum.checked_add(rule.share_percent).ok())
}

fn is_ascending(rules: &[TakeProfitRule]) -> bool {
    rules.windows(2).all(|pair| match pair {
        [near, far] => {
            let (near, far) = (near.distance, far.distance);
            near.unit == far.unit && near.basis == far.basis && near.percent < far.percent
        }
        _ => true,
    })
}
