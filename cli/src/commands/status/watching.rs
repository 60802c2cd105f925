//! Who watches the account, and how that stands.

use exchange_client::files::Zone;
use ledger_core::{AccountId, TimestampMs};
use ledger_store::{LeaseRecord, Store};
use reconciler::service::{StreamState, WatchState};
use serde_json::{Value, json};

use super::super::rebuild::count;
use super::freshness::span;
use crate::error::CommandError;
use crate::times::show_time;

/// The watching of an account, at a time.
pub(super) struct Watching {
    /// The last lease; `None` where the account was never watched.
    lease: Option<LeaseRecord>,
    state: Option<WatchState>,
    /// Now, by the local clock.
    now: TimestampMs,
}

impl Watching {
    pub(super) async fn of(store: &dyn Store, account: &AccountId, now: TimestampMs) -> Result<Self, CommandError> {
        let lease = store.lease(account).await?;
        let state = lease.as_ref().and_then(|lease| WatchState::parse(lease.state_json.as_deref()?));
        Ok(Self { lease, state, now })
    }

    fn is_on(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.is_in_force(self.now))
    }

    fn ago(&self, at: TimestampMs) -> String {
        span(self.now.as_ms().saturating_sub(at.as_ms()).max(0))
    }

    /// How it stands, a line a subject; nothing of an account that was never watched.
    pub(super) fn lines(&self, zone: &Zone) -> Vec<String> {
        let Some(lease) = &self.lease else { return Vec::new() };
        if !self.is_on() {
            if let Some(ended) = lease.ended_local {
                let is_cut_short = self.state.as_ref().is_some_and(|state| state.is_cut_short);
                let how =
                    if is_cut_short { ", in the middle of a comparison, which the next one makes good" } else { "" };
                return vec![format!("not any more: {} ended at {}{how}", lease.holder, show_time(ended, zone))];
            }
            let ago = self.ago(lease.renewed_local);
            return vec![match lease.is_alive {
                Some(false) => format!("not any more: {} died; its last sign of life was {ago} ago", lease.holder),
                Some(true) => format!("{} lives, and has written no sign of life for {ago}", lease.holder),
                None => format!("nobody is seen to: the last sign of life of {} was {ago} ago", lease.holder),
            }];
        }
        let mut lines = vec![format!("since {} by {}", show_time(lease.taken_local, zone), lease.holder)];
        let Some(state) = &self.state else { return lines };
        let stream = &state.stream;
        let mut text = format!("stream {} since {}", stream.state, show_time(stream.since, zone));
        if let Some(at) = stream.confirmed_event {
            text = format!("{text}; last confirmed event {}", show_time(at, zone));
        }
        if stream.interruptions > 0 {
            text = format!("{text}; {}", count(stream.interruptions, "interruption"));
        }
        lines.push(text);
        let looked =
            state.looked_local.map_or_else(|| "no look yet".to_owned(), |at| format!("last look {} ago", self.ago(at)));
        let cycle = state.cycle.as_ref().map_or_else(
            || "the first comparison goes on".to_owned(),
            |cycle| {
                let repairs = count(cycle.repairs as u64, "repair");
                format!("last comparison {} ago: {repairs}, {} left", self.ago(cycle.ended_local), cycle.left)
            },
        );
        lines.push(format!("{looked}; {cycle}"));
        let [light, orders, full] =
            state.every_s.map(|seconds| span(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)));
        let mut text = format!(
            "looks every {light}, orders every {orders}, everything every {full}; weight {} in the last minute",
            state.weight_1m_own
        );
        if state.stretch > 1 {
            text = format!("{text}; {} times as far apart as for one account", state.stretch);
        }
        lines.push(text);
        lines
    }

    /// What needs attention.
    pub(super) fn attention(&self) -> Vec<String> {
        let mut attention = Vec::new();
        let Some(lease) = &self.lease else { return attention };
        if !self.is_on() {
            let ago = self.ago(lease.renewed_local);
            match (lease.ended_local, lease.is_alive) {
                (Some(_), _) => {}
                (None, Some(true)) => attention.push(format!(
                    "{} watches this account and has written nothing for {ago}: it does not move, or the book takes nothing; what it \
                     prints says which",
                    lease.holder
                )),
                (None, Some(false)) => {
                    attention.push(format!("{} watched this account and died: `fillbook watch` goes on", lease.holder));
                }
                (None, None) => attention.push(format!(
                    "{} watched this account and gave no sign of life for {ago}: `fillbook watch` goes on",
                    lease.holder
                )),
            }
            return attention;
        }
        let Some(state) = &self.state else { return attention };
        match state.stream.state {
            StreamState::Down => {
                attention.push("the stream is interrupted: looks have to do until it stands again".to_owned());
            }
            StreamState::Doubted => attention.push("the stream does not tell everything: looks have to do".to_owned()),
            StreamState::Connecting | StreamState::Unproven | StreamState::Confirmed => {}
        }
        if let Some(trouble) = &state.stream.trouble {
            attention.push(format!("there is no stream, so looks have to do: {trouble}"));
        }
        if let Some(failure) = &state.failure {
            let since = self.ago(failure.since_local);
            attention.push(format!(
                "the exchange does not answer since {since} ({} attempts): {}",
                failure.attempts, failure.reason
            ));
        }
        if let Some(book) = &state.book {
            attention.push(format!("{} (for {})", book.reason, self.ago(book.since_local)));
        } else if state.waiting > 0 {
            attention.push(format!(
                "the book cannot be written; {} of the stream wait",
                count(state.waiting as u64, "event")
            ));
        }
        attention
    }

    /// The same for programs; `null` for an account that was never watched.
    pub(super) fn json(&self) -> Value {
        let Some(lease) = &self.lease else { return Value::Null };
        json!({
            "is_watched": self.is_on(), "holder": lease.holder, "since_local": lease.taken_local.as_ms(),
            "last_sign_local": lease.renewed_local.as_ms(), "ended_local": lease.ended_local.map(TimestampMs::as_ms),
            "state": self.state,
        })
    }
}

#[cfg(test)]
mod tests {
    use ledger_store::Lease;

    use super::*;

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::new(1_780_000_000_000 + ms).unwrap()
    }

    /// A watcher that says this of itself, of its stream in `stream`; it has ended, or not.
    fn watching(own: &Value, stream: &Value, has_ended: bool) -> Watching {
        let mut state = json!({
            "version": 1, "events": 0, "waiting": 0, "every_s": [60, 300, 600], "stretch": 1, "weight_1m_own": 0,
            "stream": {"state": "connecting", "since": at(0), "interruptions": 0},
        });
        let put = |into: &mut Value, from: &Value| {
            for (name, value) in from.as_object().unwrap() {
                into[name.as_str()] = value.clone();
            }
        };
        put(&mut state, own);
        put(&mut state["stream"], stream);
        let lease = LeaseRecord {
            lease: Lease { account: AccountId::new("main").unwrap(), number: 1 },
            holder: "somebody".to_owned(),
            taken_local: at(0),
            renewed_local: at(1_000),
            until_local: at(31_000),
            ended_local: has_ended.then(|| at(2_000)),
            state_json: Some(state.to_string()),
            is_alive: Some(true),
        };
        let state = WatchState::parse(lease.state_json.as_deref().unwrap());
        assert!(state.is_some());
        Watching { lease: Some(lease), state, now: at(3_000) }
    }

    #[test]
    fn a_stream_that_does_not_come_about_needs_attention() {
        assert!(watching(&json!({}), &json!({}), false).attention().is_empty(), "it may come yet");
        let attention = watching(&json!({}), &json!({"trouble": "no access"}), false).attention();
        assert_eq!(attention, ["there is no stream, so looks have to do: no access"]);
    }

    #[test]
    fn a_book_that_fails_is_not_told_as_the_exchanges_fault() {
        let book =
            json!({"book": {"since_local": at(1_000), "reason": "the book cannot be written: full"}, "waiting": 3});
        let attention = watching(&book, &json!({}), false).attention();
        assert_eq!(attention, ["the book cannot be written: full (for 2 s)"]);
    }

    #[test]
    fn one_that_was_stopped_in_the_middle_of_a_comparison_says_so_and_needs_no_attention() {
        for is_cut_short in [false, true] {
            let watching = watching(&json!({"is_cut_short": is_cut_short}), &json!({}), true);
            let lines = watching.lines(&Zone::utc());
            let [line] = &lines[..] else { panic!("{lines:?}") };
            assert!(line.starts_with("not any more: somebody ended at "), "{line}");
            assert_eq!(
                line.ends_with("in the middle of a comparison, which the next one makes good"),
                is_cut_short,
                "{line}"
            );
            assert!(watching.attention().is_empty());
        }
    }
}
