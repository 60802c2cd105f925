//! Conditional orders: they wait for a price, and then become a regular order with an id of its own.

use super::books::PositionSide;
use super::order::TimeInForce;

/// The kinds of conditional orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlgoKind {
    Stop,
    StopMarket,
    TakeProfit,
    TakeProfitMarket,
    TrailingStopMarket,
}

impl AlgoKind {
    const ALL: [Self; 5] =
        [Self::Stop, Self::StopMarket, Self::TakeProfit, Self::TakeProfitMarket, Self::TrailingStopMarket];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::StopMarket => "STOP_MARKET",
            Self::TakeProfit => "TAKE_PROFIT",
            Self::TakeProfitMarket => "TAKE_PROFIT_MARKET",
            Self::TrailingStopMarket => "TRAILING_STOP_MARKET",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether it becomes a limit order.
    pub(super) fn has_limit(self) -> bool {
        matches!(self, Self::Stop | Self::TakeProfit)
    }

    fn is_stop(self) -> bool {
        matches!(self, Self::Stop | Self::StopMarket | Self::TrailingStopMarket)
    }
}

/// Where a conditional order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlgoStatus {
    /// Waits.
    New,
    /// Became a regular order, which is still open.
    Triggered,
    /// Became a regular order, which has ended.
    Finished,
    Canceled,
    /// The regular order was refused, for its margin for instance.
    Rejected,
    /// There was nothing left to close.
    Expired,
}

impl AlgoStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Triggered => "TRIGGERED",
            Self::Finished => "FINISHED",
            Self::Canceled => "CANCELED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// A conditional order to place, its texts already read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that the exchange's order has")]
pub(super) struct AlgoTicket {
    pub(super) symbol: String,
    pub(super) buy: bool,
    pub(super) position_side: PositionSide,
    pub(super) kind: AlgoKind,
    /// 0 when the whole position is to be closed.
    pub(super) qty_e8: i128,
    pub(super) close_position: bool,
    pub(super) reduce_only: bool,
    /// What it waits for; of a trailing stop: from where on it trails, if given.
    pub(super) trigger_e8: Option<i128>,
    /// How far a trailing stop stays behind, as a share of the best price.
    pub(super) callback_e8: Option<i128>,
    /// The limit of the regular order.
    pub(super) price_e8: Option<i128>,
    pub(super) time_in_force: TimeInForce,
    pub(super) working_type: String,
    pub(super) price_protect: bool,
    pub(super) client_algo_id: Option<String>,
}

impl AlgoTicket {
    /// Whether the price has reached the trigger. Not for trailing stops.
    pub(super) fn is_reached(&self, price_e8: i128) -> bool {
        // A stop to buy and a take-profit to sell wait for a higher price.
        self.trigger_e8.is_some_and(|trigger_e8| {
            if self.kind.is_stop() == self.buy { price_e8 >= trigger_e8 } else { price_e8 <= trigger_e8 }
        })
    }
}

/// A conditional order of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditional {
    pub(super) id: i64,
    pub(super) client_algo_id: String,
    pub(super) ticket: AlgoTicket,
    pub(super) status: AlgoStatus,
    /// The best price since a trailing stop was activated.
    pub(super) best_e8: Option<i128>,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) triggered_ms: i64,
    /// The regular order that it became.
    pub(super) order_id: Option<i64>,
}

impl Conditional {
    pub(super) fn new(id: i64, ticket: AlgoTicket, now_ms: i64) -> Self {
        Self {
            id,
            client_algo_id: ticket.client_algo_id.clone().unwrap_or_else(|| format!("sim_algo_{id}")),
            ticket,
            status: AlgoStatus::New,
            best_e8: None,
            created_ms: now_ms,
            updated_ms: now_ms,
            triggered_ms: 0,
            order_id: None,
        }
    }

    /// Looks at a price; whether that triggers the order.
    pub(super) fn sees(&mut self, price_e8: i128) -> bool {
        let Some(callback_e8) = self.ticket.callback_e8 else {
            return self.ticket.is_reached(price_e8);
        };
        let buy = self.ticket.buy;
        let better = |a: i128, b: i128| if buy { a.min(b) } else { a.max(b) };
        let activated = self.ticket.trigger_e8.is_none_or(|from_e8| better(price_e8, from_e8) == price_e8);
        if self.best_e8.is_none() && !activated {
            return false;
        }
        let best_e8 = self.best_e8.map_or(price_e8, |best_e8| better(best_e8, price_e8));
        self.best_e8 = Some(best_e8);
        let room_e8 = super::fixed::mul_div(best_e8, callback_e8, super::fixed::ONE_E8);
        if buy { price_e8 >= best_e8 + room_e8 } else { price_e8 <= best_e8 - room_e8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(kind: AlgoKind, buy: bool, trigger: Option<i128>, callback_e8: Option<i128>) -> AlgoTicket {
        AlgoTicket {
            symbol: "BTCUSDT".into(),
            buy,
            position_side: PositionSide::Both,
            kind,
            qty_e8: 1,
            close_position: false,
            reduce_only: false,
            trigger_e8: trigger,
            callback_e8,
            price_e8: None,
            time_in_force: TimeInForce::Gtc,
            working_type: "CONTRACT_PRICE".into(),
            price_protect: false,
            client_algo_id: None,
        }
    }

    #[test]
    fn stops_and_take_profits_wait_on_opposite_sides() {
        for (kind, buy, above) in [
            (AlgoKind::StopMarket, true, true),
            (AlgoKind::Stop, false, false),
            (AlgoKind::TakeProfitMarket, true, false),
            (AlgoKind::TakeProfit, false, true),
        ] {
            let ticket = ticket(kind, buy, Some(100), None);
            assert_eq!(ticket.is_reached(101), above, "{kind:?} {buy}");
            assert_eq!(ticket.is_reached(99), !above, "{kind:?} {buy}");
            assert!(ticket.is_reached(100));
        }
    }

    #[test]
    fn a_trailing_stop_follows_the_best_price() {
        // Sells 1 % below the best price, from 1000 on.
        let mut stop =
            Conditional::new(1, ticket(AlgoKind::TrailingStopMarket, false, Some(1_000), Some(1_000_000)), 0);
        let seen: Vec<bool> = [900, 980, 1_000, 995, 1_100, 1_090, 1_089].map(|price| stop.sees(price)).into();
        assert_eq!(seen, [false, false, false, false, false, false, true]);
    }
}
