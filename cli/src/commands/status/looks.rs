//! When the exchange was looked at, how the last look ended, and what follows from that for somebody who asks.

use std::collections::BTreeMap;

use exchange_client::files::Zone;
use ledger_core::{Freshness, LookStream, Staleness, Symbol, TimestampMs};
use ledger_store::{Look, LookFailureKind, LookOutcome};
use reconciler::LookState;
use serde_json::{Value, json};

use super::freshness::span;
use crate::error::{ExitCode, look_exit_code};
use crate::times::show_time;

/// The looks of an account, at a time.
pub(super) struct Looks {
    pub(super) state: LookState,
    /// Now, by the local clock.
    pub(super) now: TimestampMs,
}

/// Streams by why they are stale and how long ago they were seen, in words.
type Groups<'a> = BTreeMap<(Option<Staleness>, String), Vec<(LookStream, &'a Freshness)>>;

fn names(streams: &[(LookStream, &Freshness)]) -> String {
    streams.iter().map(|(stream, _)| stream.as_str()).collect::<Vec<_>>().join(", ")
}

impl Looks {
    /// The look as a whole, unless one that was interrupted is being made good by another one now.
    fn last_failed(&self) -> Option<&Look> {
        let last = self.state.looks.get(&LookStream::Account)?;
        let goes_on = self.state.open.is_some_and(|open| open.is_running);
        match last.outcome {
            LookOutcome::Succeeded => None,
            LookOutcome::Interrupted if goes_on => None,
            LookOutcome::Interrupted | LookOutcome::Failed => Some(last),
        }
    }

    /// What somebody who only sees the exit code has to know.
    pub(super) fn exit_code(&self) -> ExitCode {
        if !self.state.is_bound {
            return ExitCode::Fine;
        }
        let failed = self.last_failed().and_then(|last| last.failure.as_ref());
        let mut code = failed.map_or(ExitCode::Fine, |(_, failure)| look_exit_code(failure.kind));
        if self.state.is_abandoned() {
            code = code.worst(look_exit_code(LookFailureKind::Interrupted));
        }
        if self.state.due().next().is_some() || !self.left_aside().is_empty() {
            code = code.worst(ExitCode::Stale);
        }
        code
    }

    /// The contracts that a narrowed look saw to need one, and did not look at.
    fn left_aside(&self) -> Vec<&str> {
        let success = self.state.looks.get(&LookStream::Account).and_then(|last| last.success.as_ref());
        success.iter().flat_map(|success| &success.seen.left_aside).map(Symbol::as_str).collect()
    }

    fn grouped<'a>(streams: impl Iterator<Item = (LookStream, &'a Freshness)>) -> Groups<'a> {
        let mut groups = Groups::new();
        let streams: BTreeMap<LookStream, &Freshness> = streams.collect();
        for stream in LookStream::SEEN {
            let Some(freshness) = streams.get(&stream) else { continue };
            let age = freshness.age_ms.map_or_else(String::new, span);
            groups.entry((freshness.stale, age)).or_default().push((stream, freshness));
        }
        groups
    }

    /// What was seen, and when: a line for what was seen at the same time.
    pub(super) fn lines(&self, zone: &Zone) -> Vec<String> {
        if !self.state.is_bound {
            return Vec::new();
        }
        let streams = self.state.streams.iter().map(|(stream, freshness)| (*stream, freshness));
        let mut lines: Vec<String> = Vec::new();
        for ((stale, age), streams) in Self::grouped(streams) {
            let first = streams.iter().filter_map(|(_, freshness)| freshness.seen_at).min();
            let streams = names(&streams);
            lines.push(match (stale, first) {
                (Some(Staleness::Never), _) | (_, None) => format!("never: {streams}"),
                (Some(Staleness::Ahead), Some(at)) => {
                    format!("{}, which is ahead of this machine's clock: {streams}", show_time(at, zone))
                }
                (Some(Staleness::Age), Some(at)) => format!("{}, {age} ago: {streams} (stale)", show_time(at, zone)),
                (Some(Staleness::Overtaken), Some(at)) => {
                    let why = "stale: a fill or ledger row is newer";
                    format!("{}, {age} ago: {streams} ({why})", show_time(at, zone))
                }
                (None, Some(at)) => format!("{}, {age} ago: {streams}", show_time(at, zone)),
            });
        }
        if let Some(open) = self.state.open.filter(|open| open.is_running) {
            let since = open.began_local.map_or_else(String::new, |began| format!(" for {}", span(self.ago(began))));
            lines.push(format!("a sync is running{since}"));
        }
        lines
    }

    fn ago(&self, local: TimestampMs) -> i64 {
        self.now.as_ms().saturating_sub(local.as_ms())
    }

    /// What is wrong with the last look, and what should be looked at again.
    pub(super) fn attention(&self) -> Vec<String> {
        let mut attention = Vec::new();
        if !self.state.is_bound {
            return attention;
        }
        if self.state.is_abandoned() {
            let began = self.state.open.and_then(|open| open.began_local);
            let began = began.map_or_else(String::new, |began| format!(", which began {} ago", span(self.ago(began))));
            attention.push(format!("the last sync{began}, was interrupted: its process died; `fillbook sync` goes on"));
        }
        let last = self.state.looks.get(&LookStream::Account);
        if let Some((at, failure)) = self.last_failed().and_then(|last| last.failure.as_ref()) {
            let ago = span(self.ago(*at));
            attention.push(if failure.kind == LookFailureKind::Interrupted {
                format!("the last sync was interrupted {ago} ago; `fillbook sync` goes on")
            } else {
                let code = look_exit_code(failure.kind).as_u8();
                format!("the last sync failed {ago} ago (exit code {code}): {}", failure.reason)
            });
        } else if last.is_some_and(|last| last.outcome == LookOutcome::Succeeded) {
            // The rest of the look was answered.
            let failed = self.state.looks.values().filter(|look| look.outcome == LookOutcome::Failed);
            attention.extend(failed.filter_map(|look| {
                let (_, failure) = look.failure.as_ref()?;
                Some(format!("the last sync did not learn of {}: {}", look.stream, failure.reason))
            }));
        }
        let left_aside = self.left_aside();
        if !left_aside.is_empty() {
            attention.push(format!(
                "a sync that was narrowed with --symbol saw that something differs in {}, and did not look at it: \
                 `fillbook sync`",
                left_aside.join(", ")
            ));
        }
        for ((stale, age), streams) in Self::grouped(self.state.due()) {
            let streams = names(&streams);
            attention.push(match stale {
                Some(Staleness::Never) | None => {
                    format!("the exchange was not looked at to the end yet ({streams}): `fillbook sync`")
                }
                Some(Staleness::Ahead) => format!(
                    "what was seen of {streams} is dated ahead of this machine's clock, so nothing tells how old it is: set the \
                     clock, then `fillbook sync`"
                ),
                Some(Staleness::Age) => {
                    format!("not looked at recently enough, but {age} ago: {streams}: `fillbook sync`")
                }
                Some(Staleness::Overtaken) => {
                    format!("fills or ledger rows on record are newer than what was seen of {streams}: `fillbook sync`")
                }
            });
        }
        attention
    }

    pub(super) fn json(&self) -> Value {
        let ms = |at: Option<TimestampMs>| at.map(TimestampMs::as_ms);
        let streams = LookStream::SEEN.into_iter().filter_map(|stream| {
            let freshness = self.state.streams.get(&stream)?;
            let look = self.state.looks.get(&stream);
            Some(json!({
                "stream": stream.as_str(), "seen_ts": ms(freshness.seen_at), "age_ms": freshness.age_ms,
                "stale": freshness.stale.map(Staleness::as_str), "due": self.state.is_bound && freshness.is_due,
                "last": look.map(|look| self.look_json(look)),
            }))
        });
        let last = self.state.looks.get(&LookStream::Account);
        let interrupted = self.state.is_abandoned();
        let running = self.state.open.filter(|open| open.is_running);
        json!({
            "last": last.map(|look| self.look_json(look)),
            "running": running.map(|open| json!({ "began_local": ms(open.began_local) })),
            "died": interrupted.then(|| json!({ "began_local": ms(self.state.open.and_then(|open| open.began_local)) })),
            "anything_open": self.state.exposure.is_open,
            "left_aside": self.left_aside(),
            "next_funding_ts": ms(self.state.exposure.next_funding),
            "streams": streams.collect::<Vec<_>>(),
        })
    }

    fn look_json(&self, look: &Look) -> Value {
        let success = look.success.as_ref();
        json!({
            "outcome": look.outcome.as_str(),
            "began_local": look.began_local.as_ms(), "ended_local": look.ended_local.as_ms(),
            "began_ts": look.began_at.map(TimestampMs::as_ms), "ended_ts": look.ended_at.map(TimestampMs::as_ms),
            "succeeded_local": success.map(|success| success.ended_local.as_ms()),
            "failure": look.failure.as_ref().map(|(at, failure)| json!({
                "failed_local": at.as_ms(), "kind": failure.kind.as_str(), "reason": failure.reason,
                "exit_code": look_exit_code(failure.kind).as_u8(), "age_ms": self.ago(*at),
            })),
        })
    }
}
