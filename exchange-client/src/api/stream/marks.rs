//! Mark prices as they move.

use async_trait::async_trait;

use super::{Interruption, StreamEventError};
use crate::api::{MarkPrice, Stated};

/// What a stream of mark prices tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum MarkEvent {
    /// Prices of contracts; those that did not move may be left out.
    Marks(Vec<Stated<MarkPrice>>),
    /// The connection is lost or silent. Prices go on with the next connection; those in between are not told.
    Interrupted(Interruption),
    /// Something that cannot be read, and is passed over.
    Unreadable(StreamEventError),
}

/// Opens streams of mark prices. They need no account.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait MarkStreams: Send + Sync {
    /// A stream of the mark prices of all contracts; it connects when it is first asked.
    fn mark_stream(&self) -> Box<dyn MarkStream>;
}

/// Mark prices, in the order in which they arrive.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait MarkStream: Send {
    /// What comes next. It never ends: a connection that is lost or tells nothing is made anew. Dropping the future loses nothing
    /// but perhaps a connection that was being made.
    async fn next(&mut self) -> MarkEvent;
}
