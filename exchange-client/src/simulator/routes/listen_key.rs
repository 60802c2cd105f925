//! The keys that streams are opened with.

use serde_json::json;

use super::{Answered, Ask};
use crate::simulator::refusal::Refusal;

/// The account's key, made if it has none, valid for another hour.
#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn make(ask: &mut Ask<'_>) -> Answered {
    let key = ask.streams.make_key(ask.account, ask.config.seed, ask.now_ms());
    Ok(json!({ "listenKey": key }))
}

/// The same, but only while it is valid.
pub(super) fn keep(ask: &mut Ask<'_>) -> Answered {
    let key = ask.streams.keep_key(ask.account, ask.now_ms()).ok_or_else(Refusal::listen_key)?;
    Ok(json!({ "listenKey": key }))
}

/// Ends it: whoever listens with it hears no more.
pub(super) fn end(ask: &mut Ask<'_>) -> Answered {
    ask.streams.end_key(ask.account).ok_or_else(Refusal::listen_key)?;
    Ok(json!({}))
}
