//! What an exchange tells without being asked.
//!
//! A stream tells early, never everything: it can drop a single event and go on looking healthy. So nothing follows from
//! what it did not say, and its facts are stated as those of a [stream](Source::Stream), which give way to answers. Where
//! the connection was down it says from when to when ([`Gap`]): what happened then has to be asked for. Outside of gaps
//! asking is what completes the book all the same, only less urgently.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_order_event_states_its_order_and_its_fill_with_the_words_of_both`.

mod event;
mod marks;

use async_trait::async_trait;

pub use self::event::{
    AccountUpdate, ConfigChange, Gap, Interruption, MarginCall, MarginCallPosition, OrderUpdate, StreamEvent,
    StreamEventError, TradeNotice, TriggerRefusal, TriggerRejection,
};
pub use self::marks::{MarkEvent, MarkStream, MarkStreams};
#[cfg(any(test, feature = "mock"))]
pub use self::marks::{MockMarkStream, MockMarkStreams};
use crate::error::ExchangeError;

/// Opens streams of what happens in an account.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait UserStreams: Send + Sync {
    /// Opens a stream. Every stream is a connection of its own and tells everything that its connection brings.
    ///
    /// # Errors
    /// [`ExchangeError`] when the exchange gives no access to it. That no connection comes about is not an error here:
    /// the stream tries again and tells so.
    async fn open_user_stream(&self) -> Result<Box<dyn UserStream>, ExchangeError>;
}

/// What happens in an account, in the order in which it arrives.
///
/// Nothing happens in between calls of [`next`](Self::next): whoever stops asking for events for long finds the connection
/// lost, and is told so.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait UserStream: Send {
    /// The next event. It never ends: a connection that is lost is made anew. Dropping the future loses no event,
    /// and does not end the making of a connection.
    async fn next(&mut self) -> StreamEvent;

    /// Says goodbye; the next call of [`next`](Self::next) would connect anew.
    async fn close(&mut self);
}
