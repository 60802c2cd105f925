//! What is to be done about a position.

use ledger_core::{ClientOrderId, Decimal, Direction, ExitReason, MathError, Price, TimestampMs};

use super::edge::{Toward, down, has_moved, is_reached, resting};
use super::rules::{AddBasis, Distance, TrailingRule, Trigger};
use super::sight::{Extent, OrderState, OwnOrder, Priced, Role, Seen, Sight, Trail};

/// How old a price may be that something is decided by, in ms.
const PRICE_AGE_MAX_MS: i64 = 3_000;
/// How old the exchange's word on a position may be that something other than a full exit is decided by, in ms.
const POSITION_AGE_MAX_MS: i64 = 5_000;
/// How long a position may be without a resting stop before it is told of, in ms from the first fill.
const NAKED_AFTER_MS: i64 = 5_000;
/// How long book and exchange may differ before an exit takes the exchange's quantity, in ms.
const DIFFERENCE_MAX_MS: i64 = 10_000;

/// Something that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Close at the market, until flat. A full exit goes before everything else, and holds everything else up.
    Close {
        /// Why.
        reason: ExitReason,
        /// How much: less than everything only where a part is somebody else's, or may be.
        extent: Extent,
    },
    /// Close a part at the market, once.
    Take {
        /// Which take-profit, by its place among the rules.
        level: usize,
        /// How much, in the contract's units.
        qty: Decimal,
    },
    /// Place a stop that rests. Where it replaces another one, that one is cancelled once this one rests.
    PlaceStop {
        /// The price that it waits for.
        trigger: Price,
        /// How much it closes.
        extent: Extent,
    },
    /// Place a take-profit that rests.
    PlaceTakeProfit {
        /// Which, by its place among the rules.
        level: usize,
        /// The price that it waits for.
        trigger: Price,
        /// How much it closes, in the contract's units.
        qty: Decimal,
    },
    /// Cancel an own order.
    Cancel {
        /// Which.
        client_order_id: ClientOrderId,
    },
    /// Add to the position at the market, once.
    Add {
        /// Which step, from 1 on.
        step: u32,
        /// How much, in the contract's units.
        qty: Decimal,
    },
    /// Write down how the trailing stop stands.
    Trail(Trail),
    /// Tell that no stop rests at the exchange.
    TellNaked,
    /// Ask the exchange for the price: a stop depends on it.
    AskPrice,
    /// Ask the exchange for the position.
    AskPosition,
    /// The position is closed: the plan is over.
    End,
}

/// Why something that the rules have is not decided now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Nobody has heard the price, or not lately.
    Price,
    /// The exchange's word on the position is missing or too old.
    Position,
    /// A number that the rule counts from is not known: the entry, the leverage, the fees.
    Basis,
    /// Something of the kind was sent, and nobody knows what became of it.
    Undecided,
    /// Book and exchange do not agree, or something else is open.
    HeldBack,
    /// The budget does not allow it.
    Budget,
}

/// What is to be done about a position, in this order, and what waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// What waits, with why.
    pub waits: Vec<(Role, Wait)>,
}

/// Decides what is to be done about a position.
///
/// Full exits come first and leave nothing else to be done. They need nothing but a reason: who closes reads the position. A stop and a
/// trailing stop need a price of the last 3 s, for which is asked. A take-profit needs a position of the last 5 s as well. An addition
/// needs that everything agrees.
///
/// # Errors
/// [`MathError`] where a number does not fit. Nothing is decided then.
pub fn decide(sight: &Sight<'_>) -> Result<Decision, MathError> {
    let mut deciding = Deciding { sight, price: sight.price(), decision: Decision::default() };
    deciding.run()?;
    Ok(deciding.decision)
}

impl Sight<'_> {
    /// The price that decides, if it is of the last moments.
    fn price(&self) -> Option<Price> {
        let heard = match self.rules.trigger() {
            Trigger::Mark => self.mark,
            Trigger::Last => self.last,
        };
        heard.filter(|heard: &Priced| age_ms(self.now, heard.at) <= PRICE_AGE_MAX_MS).map(|heard| heard.price)
    }

    fn fresh(&self) -> Option<&Seen> {
        self.exchange.as_ref().filter(|seen| age_ms(self.now, seen.at) <= POSITION_AGE_MAX_MS)
    }

    fn own(&self, role: Role) -> impl Iterator<Item = &OwnOrder> {
        self.orders.iter().filter(move |order| order.role == role)
    }

    fn is_undecided(&self, role: Role) -> bool {
        self.own(role).any(|order| order.state == OrderState::Undecided)
    }

    /// How much may be closed: the smaller of what book and exchange say while they differ. A stop takes what the exchange says
    /// after a while, unless a part of it is known to be somebody else's.
    fn closable(&self, reason: ExitReason) -> Extent {
        let Some(seen) = &self.exchange else { return Extent::Whole };
        let Some(since) = self.differs_since.or(self.is_shared.then_some(self.now)) else { return Extent::Whole };
        let lasts = age_ms(self.now, since) >= DIFFERENCE_MAX_MS;
        if lasts && reason == ExitReason::StopLoss && !self.is_shared {
            return Extent::Whole;
        }
        Extent::Qty(self.book_qty.min(seen.qty))
    }
}

fn age_ms(now: TimestampMs, at: TimestampMs) -> i64 {
    now.as_ms().saturating_sub(at.as_ms())
}

/// What comes of looking at a rule.
enum Reached {
    Yes,
    No,
    Waits(Wait),
}

struct Deciding<'a> {
    sight: &'a Sight<'a>,
    price: Option<Price>,
    decision: Decision,
}

impl Deciding<'_> {
    fn act(&mut self, action: Action) {
        self.decision.actions.push(action);
    }

    fn wait(&mut self, role: Role, wait: Wait) {
        self.decision.waits.push((role, wait));
    }

    fn run(&mut self) -> Result<(), MathError> {
        let sight = self.sight;
        if sight.fresh().is_none() {
            self.act(Action::AskPosition);
        }
        if sight.fresh().is_some_and(|seen| seen.qty.is_zero()) {
            self.over();
            return Ok(());
        }
        let trail = self.trail()?;
        if let Some(reason) = self.full_exit(trail)? {
            return self.close(reason);
        }
        self.stop()?;
        self.take_profits()?;
        self.addition()
    }

    fn close(&mut self, reason: ExitReason) -> Result<(), MathError> {
        let extent = self.sight.closable(reason);
        if matches!(extent, Extent::Qty(qty) if !qty.is_positive()) {
            // Nothing of it is known to be ours.
            self.wait(Role::Exit, Wait::HeldBack);
            return self.stop();
        }
        // Who closes asks for the position.
        self.decision.actions.retain(|action| !matches!(action, Action::AskPosition));
        self.act(Action::Close { reason, extent });
        Ok(())
    }

    /// Nothing is held: what rests of the plan is cancelled, and the plan is over once nothing does.
    fn over(&mut self) {
        let left: Vec<_> = self.sight.orders.iter().map(|order| order.client_order_id.clone()).collect();
        if left.is_empty() {
            self.act(Action::End);
        }
        for client_order_id in left {
            self.act(Action::Cancel { client_order_id });
        }
    }

    /// Whether the price has moved so far. Rests on the exchange's entry, which changes with fills alone: it may be older than
    /// the price.
    fn reached(&self, distance: &Distance, toward: Toward) -> Result<Reached, MathError> {
        let Some(price) = self.price else { return Ok(Reached::Waits(Wait::Price)) };
        let Some(seen) = &self.sight.exchange else { return Ok(Reached::Waits(Wait::Position)) };
        Ok(match is_reached(distance, toward, self.sight.plan, seen, price)? {
            Some(true) => Reached::Yes,
            Some(false) => Reached::No,
            None => Reached::Waits(Wait::Basis),
        })
    }

    /// How the trailing stop stands at this price; written down where that is news.
    fn trail(&mut self) -> Result<Option<Trail>, MathError> {
        let (Some(rule), Some(price)) = (self.sight.rules.trailing(), self.price) else {
            return Ok(self.sight.plan.trail);
        };
        let trail = match self.sight.plan.trail {
            Some(trail) => {
                let is_better = match self.sight.plan.direction {
                    Direction::Long => price > trail.peak,
                    Direction::Short => price < trail.peak,
                };
                if is_better { Trail { peak: price, ..trail } } else { trail }
            }
            None => match self.reached(&rule.arms_at, Toward::Profit)? {
                Reached::Yes => Trail { armed_at: self.sight.now, peak: price },
                Reached::No | Reached::Waits(_) => return Ok(None),
            },
        };
        if self.sight.plan.trail != Some(trail) {
            self.act(Action::Trail(trail));
        }
        Ok(Some(trail))
    }

    /// Why everything is to be closed, if it is.
    fn full_exit(&mut self, trail: Option<Trail>) -> Result<Option<ExitReason>, MathError> {
        let sight = self.sight;
        if sight.close_asked {
            return Ok(Some(ExitReason::ManualClose));
        }
        // What was begun goes on until flat.
        if sight.own(Role::Exit).next().is_some() {
            return Ok(Some(ExitReason::AutoExit));
        }
        let held_ms = age_ms(sight.now, sight.plan.began_at);
        if sight.rules.time_limit_ms().is_some_and(|limit| held_ms >= limit) {
            return Ok(Some(ExitReason::AutoExit));
        }
        if let Some(stop) = sight.rules.stop() {
            match self.reached(&stop.distance, Toward::Loss)? {
                Reached::Yes => return Ok(Some(ExitReason::StopLoss)),
                Reached::No => {}
                Reached::Waits(wait) => {
                    if wait == Wait::Price {
                        self.act(Action::AskPrice);
                    }
                    self.wait(Role::Stop, wait);
                }
            }
        }
        if let (Some(rule), Some(trail)) = (sight.rules.trailing(), trail)
            && self.has_turned(rule, trail)?
        {
            return Ok(Some(ExitReason::AutoExit));
        }
        self.last_profit()
    }

    /// Whether the price has turned back from its peak so far that the profit is to be kept. That is no stop: it waits for a position of
    /// the last moments.
    fn has_turned(&self, rule: &TrailingRule, trail: Trail) -> Result<bool, MathError> {
        let (Some(price), Some(_)) = (self.price, self.sight.fresh()) else { return Ok(false) };
        let falls = self.sight.plan.direction == Direction::Long;
        has_moved(price.get(), trail.peak.get(), rule.callback_percent, Decimal::from(1), falls)
    }

    /// Whether a take-profit that does not rest closes all that is left.
    fn last_profit(&mut self) -> Result<Option<ExitReason>, MathError> {
        let sight = self.sight;
        let Some(seen) = sight.fresh() else { return Ok(None) };
        for (level, rule) in sight.rules.take_profits().iter().enumerate() {
            let is_open =
                !rule.rests && !sight.plan.taken.contains(&level) && !sight.is_undecided(Role::TakeProfit(level));
            if is_open
                && matches!(self.reached(&rule.distance, Toward::Profit)?, Reached::Yes)
                && self.part(level, seen)?.is_none()
            {
                return Ok(Some(ExitReason::TakeProfit));
            }
        }
        Ok(None)
    }

    /// How much a take-profit closes; `None` for all that is left: it is the last one and takes everything, or what it would leave
    /// could not be closed by an order of its own.
    fn part(&self, level: usize, seen: &Seen) -> Result<Option<Decimal>, MathError> {
        let (rules, grid) = (self.sight.rules.take_profits(), &self.sight.grid);
        let hundred = Decimal::from(100);
        let Some(rule) = rules.get(level) else { return Ok(None) };
        let mut shares = Decimal::ZERO;
        for rule in rules.iter().take(level + 1) {
            shares = shares.checked_add(rule.share_percent)?;
        }
        if shares >= hundred {
            return Ok(None);
        }
        let exact = self.sight.plan.qty_max.checked_mul(rule.share_percent)?.div_round(hundred, 18)?;
        let held = self.sight.book_qty.min(seen.qty);
        let least = grid.qty_min.or(grid.step).unwrap_or(Decimal::ZERO);
        let qty = down(exact, grid.step)?.max(least);
        let rest = held.checked_sub(qty)?;
        let is_dust = !rest.is_positive() || rest < least;
        Ok((!is_dust).then_some(qty))
    }

    /// The stop that rests: there is one, at the rule's price, and of all that is ours.
    fn stop(&mut self) -> Result<(), MathError> {
        let sight = self.sight;
        let working: Vec<_> = sight.own(Role::Stop).filter(|order| order.state == OrderState::Working).collect();
        let Some(rule) = sight.rules.stop().filter(|rule| rule.rests) else {
            for order in working {
                self.act(Action::Cancel { client_order_id: order.client_order_id.clone() });
            }
            return Ok(());
        };
        if working.is_empty() && age_ms(sight.now, sight.plan.began_at) >= NAKED_AFTER_MS {
            self.act(Action::TellNaked);
        }
        let Some(seen) = &sight.exchange else {
            self.wait(Role::Stop, Wait::Position);
            return Ok(());
        };
        let Some(trigger) = resting(&rule.distance, Toward::Loss, sight.plan, seen, sight.grid.tick)? else {
            self.wait(Role::Stop, Wait::Basis);
            return Ok(());
        };
        let extent = if sight.is_shared { Extent::Qty(sight.book_qty.min(seen.qty)) } else { Extent::Whole };
        let is_right = |order: &&&OwnOrder| order.trigger == Some(trigger) && order.extent == extent;
        let right = working.iter().find(is_right).map(|order| order.client_order_id.clone());
        if right.is_none() {
            // The new one first; what it replaces goes once it rests.
            if sight.is_undecided(Role::Stop) {
                self.wait(Role::Stop, Wait::Undecided);
            } else {
                self.act(Action::PlaceStop { trigger, extent });
            }
            return Ok(());
        }
        for order in working.iter().filter(|order| Some(&order.client_order_id) != right.as_ref()) {
            self.act(Action::Cancel { client_order_id: order.client_order_id.clone() });
        }
        Ok(())
    }

    fn take_profits(&mut self) -> Result<(), MathError> {
        let sight = self.sight;
        for (level, rule) in sight.rules.take_profits().iter().enumerate() {
            let role = Role::TakeProfit(level);
            if sight.plan.taken.contains(&level) {
                continue;
            }
            if sight.is_undecided(role) {
                self.wait(role, Wait::Undecided);
                continue;
            }
            let Some(seen) = sight.fresh() else {
                self.wait(role, Wait::Position);
                continue;
            };
            if rule.rests {
                self.resting_profit(level, seen)?;
                continue;
            }
            match self.reached(&rule.distance, Toward::Profit)? {
                Reached::Yes => {
                    if let Some(qty) = self.part(level, seen)? {
                        self.act(Action::Take { level, qty });
                    }
                }
                Reached::No => {}
                Reached::Waits(wait) => self.wait(role, wait),
            }
        }
        Ok(())
    }

    /// A take-profit that rests: there is one, at the rule's price, of its share.
    fn resting_profit(&mut self, level: usize, seen: &Seen) -> Result<(), MathError> {
        let (sight, role) = (self.sight, Role::TakeProfit(level));
        let Some(rule) = sight.rules.take_profits().get(level) else { return Ok(()) };
        let Some(trigger) = resting(&rule.distance, Toward::Profit, sight.plan, seen, sight.grid.tick)? else {
            self.wait(role, Wait::Basis);
            return Ok(());
        };
        let held = sight.book_qty.min(seen.qty);
        let qty = self.part(level, seen)?.unwrap_or(held).min(held);
        let is_right = |order: &&OwnOrder| order.trigger == Some(trigger) && order.extent == Extent::Qty(qty);
        let right = sight.own(role).find(is_right).map(|order| order.client_order_id.clone());
        // The old one first: two of them would close twice.
        let wrong = sight.own(role).filter(|order| Some(&order.client_order_id) != right.as_ref());
        let wrong: Vec<_> = wrong.map(|order| order.client_order_id.clone()).collect();
        if wrong.is_empty() && right.is_none() && qty.is_positive() {
            self.act(Action::PlaceTakeProfit { level, trigger, qty });
        }
        for client_order_id in wrong {
            self.act(Action::Cancel { client_order_id });
        }
        Ok(())
    }

    /// An addition: under its condition, once a step, and only while everything agrees.
    fn addition(&mut self) -> Result<(), MathError> {
        let (sight, plan) = (self.sight, self.sight.plan);
        let Some(rule) = sight.rules.add().filter(|rule| plan.steps < rule.steps_max) else { return Ok(()) };
        let step = plan.steps.saturating_add(1);
        let role = Role::Add(step);
        if sight.orders.iter().any(|order| matches!(order.role, Role::Add(_) | Role::Exit)) {
            self.wait(role, Wait::Undecided);
            return Ok(());
        }
        if sight.held_back.is_some() || sight.differs_since.is_some() || sight.is_shared {
            self.wait(role, Wait::HeldBack);
            return Ok(());
        }
        let Some(seen) = sight.fresh() else {
            self.wait(role, Wait::Position);
            return Ok(());
        };
        let Some(price) = self.price else {
            self.wait(role, Wait::Price);
            return Ok(());
        };
        let basis = match rule.basis {
            AddBasis::LastEntry => plan.last_entry,
            AddBasis::Average => seen.entry,
        };
        let Some(basis) = basis else {
            self.wait(role, Wait::Basis);
            return Ok(());
        };
        let falls = plan.direction == Direction::Long;
        if !has_moved(price.get(), basis.get(), rule.distance_percent, Decimal::from(1), falls)? {
            return Ok(());
        }
        let qty = down(rule.qty.get(), sight.grid.step)?;
        if !qty.is_positive() {
            return Ok(());
        }
        let cost = plan.cost.map(|cost| cost.checked_add(qty.checked_mul(price.get())?)).transpose()?;
        if rule.budget.is_some_and(|budget| cost.is_none_or(|cost| cost > budget)) {
            self.wait(role, Wait::Budget);
            return Ok(());
        }
        self.act(Action::Add { step, qty });
        Ok(())
    }
}
