//! What a bot leaves in the book as it acts: its decisions, what it sends and hears, and the ids by which its orders tell
//! who sent them. In the same process by a [`Recorder`], from elsewhere line by line by an [`EventRecorder`].

mod answer;
pub(crate) mod bot_record;
mod breaks;
pub(crate) mod client_id;
pub(crate) mod closing;
mod entries;
mod event;
mod event_recorder;
mod fields;
mod follow;
mod gate;
mod intents;
mod meant;
pub(crate) mod order_id;
mod orders;
mod recorder;
mod refusal;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use self::answer::{Answer, LineOutcome};
pub use self::client_id::{ClientIdLabel, ClientIdScheme, SchemeError};
pub use self::closing::{ClosedTrade, TradeEnd};
pub use self::event_recorder::EventRecorder;
pub use self::follow::BotFiles;
pub use self::gate::{Gate, GateReason, GateReasonKind, GateTerms, gate, settles_intent, spool_of};
pub use self::recorder::Recorder;
pub use self::refusal::Refusal;
