//! What can be set about how requests are made.

use super::gate::RequestBudget;
use super::retry::RetryPolicy;
use crate::binance_usdm::facts::VENUE;
use crate::venue::OrderLimits;

/// What can be set about how requests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestSettings {
    /// How much of the exchange's budget reads may use.
    pub budget: RequestBudget,
    /// How failed reads are repeated.
    pub retry: RetryPolicy,
    /// How many orders the account may send; one that would be too many is refused here. `None` leaves it to the exchange.
    pub order_limits: Option<OrderLimits>,
    /// Spreads the delays of repetitions. Clients that share an address should differ.
    pub seed: u64,
}

impl Default for RequestSettings {
    /// The default budget and repetitions, and the venue's limits of orders.
    fn default() -> Self {
        Self {
            budget: RequestBudget::default(),
            retry: RetryPolicy::DEFAULT,
            order_limits: Some(VENUE.order_limits),
            seed: 0,
        }
    }
}

impl RequestSettings {
    /// For a simulated exchange, whose clock may stand still: no budget and no limits of orders.
    pub const SIMULATED: Self =
        Self { budget: RequestBudget::UNLIMITED, retry: RetryPolicy::DEFAULT, order_limits: None, seed: 0 };
}
