//! What a bot leaves in the book as it acts: its decisions, what it sends and hears, and the ids by which its orders tell
//! who sent them.

pub(crate) mod bot_record;
pub(crate) mod client_id;
mod recorder;

pub use self::client_id::{ClientIdLabel, ClientIdScheme, SchemeError};
pub use self::recorder::Recorder;
