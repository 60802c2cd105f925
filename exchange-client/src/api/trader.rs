//! The commands.

use std::fmt;

use async_trait::async_trait;
use ledger_core::{Order, PositionMode, PositionSide, Side, Symbol};

use super::{Amendment, NewOrder, OrderRef, Stated};
use crate::error::{ExchangeError, SendOutcome};

/// What became of a cancellation: the order's state afterwards, or nothing where the exchange only said that it is done.
pub type CancelOutcome = SendOutcome<Option<Stated<Order>>>;

/// What became of an order that was to be cancelled with others of its side.
#[derive(Debug)]
pub struct SideCancel {
    /// The order as it was listed.
    pub listed: Stated<Order>,
    /// What became of its cancellation.
    pub outcome: CancelOutcome,
}

/// What a position's losses can use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MarginMode {
    /// The whole wallet.
    Cross,
    /// What was set aside for the position.
    Isolated,
}

impl fmt::Display for MarginMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cross => "cross",
            Self::Isolated => "isolated",
        })
    }
}

/// Trades. Everything here has three outcomes. Nothing is sent again by itself, save for what the exchange refused unseen
/// because of its timestamp.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait ExchangeTrader: Send + Sync {
    /// Places an order. The answer tells the order's state, never fills.
    async fn create_order(&self, order: NewOrder) -> SendOutcome<Stated<Order>>;

    /// Changes quantity and price of a working limit order in place.
    async fn amend_order(&self, amendment: Amendment) -> SendOutcome<Stated<Order>>;

    /// Cancels an order of either class. One that is not working any more is a rejection of the class
    /// [`NotFound`](crate::ErrorClass::NotFound).
    async fn cancel_order(&self, symbol: Symbol, order: OrderRef) -> CancelOutcome;

    /// Cancels all working regular orders of a contract. Conditional ones stay.
    async fn cancel_all_orders(&self, symbol: Symbol) -> SendOutcome<()>;

    /// Cancels all waiting conditional orders of a contract. Regular ones stay.
    async fn cancel_all_conditional_orders(&self, symbol: Symbol) -> SendOutcome<()>;

    /// Cancels the waiting conditional orders of one side, and of one position where given. They are listed and then
    /// cancelled one by one, so each has an outcome of its own.
    ///
    /// # Errors
    /// [`ExchangeError`] when they cannot be listed: then nothing was cancelled.
    async fn cancel_conditional_by_side(
        &self,
        symbol: Symbol,
        side: Side,
        position_side: Option<PositionSide>,
    ) -> Result<Vec<SideCancel>, ExchangeError>;

    /// Sets a contract's leverage; answers the leverage that is now in force.
    async fn set_leverage(&self, symbol: Symbol, leverage: u32) -> SendOutcome<u32>;

    /// Sets a contract's margin mode; being in that mode already is fine.
    async fn set_margin_mode(&self, symbol: Symbol, mode: MarginMode) -> SendOutcome<()>;

    /// Switches between one-way and hedge mode; being in that mode already is fine.
    async fn set_position_mode(&self, mode: PositionMode) -> SendOutcome<()>;
}
