//! One connection: what it has asked for, and what is on its way to it.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::StreamMessage;
use super::hub::place_of;
use super::target::Subscription;
use crate::simulator::faults::{FaultProfile, Lost};
use crate::simulator::feed::{Category, Topic};
use crate::simulator::reply::half;

/// How long a connection lasts.
const DAY_MS: i64 = 24 * 60 * 60_000;
/// How often it is pinged.
const PING_MS: i64 = 3 * 60_000;
/// How much may wait for a client that does not listen; then it is cut off.
const QUEUED_MAX: usize = 4_096;
/// How much it may ask for.
const SUBSCRIPTIONS_MAX: usize = 1_024;

/// A message on its way.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) due_ms: i64,
    /// The event's type; nothing for what is no event.
    kind: &'static str,
    message: StreamMessage,
}

#[derive(Debug)]
pub(super) struct Connection {
    /// Whether events say which stream they are from.
    is_wrapped: bool,
    /// Which streams can be heard on it.
    category: Category,
    /// Whether it tells nothing at all, pings apart, because something went wrong.
    is_silent: bool,
    opened_ms: i64,
    pinged_ms: i64,
    pub(super) subscriptions: Vec<Subscription>,
    queue: VecDeque<Queued>,
    /// How many events of each type there were, for the dice.
    counts: BTreeMap<&'static str, u64>,
    /// When the last one of each type is due.
    last_due_ms: BTreeMap<&'static str, i64>,
    life: Life,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// Nothing comes after what is in the queue.
    Ended,
    /// The same, because the client was too slow.
    Cut,
}

impl Connection {
    pub(super) fn new(is_wrapped: bool, category: Category, now_ms: i64) -> Self {
        Self {
            is_wrapped,
            category,
            is_silent: false,
            opened_ms: now_ms,
            pinged_ms: now_ms,
            subscriptions: Vec::new(),
            queue: VecDeque::new(),
            counts: BTreeMap::new(),
            last_due_ms: BTreeMap::new(),
            life: Life::Open,
        }
    }

    /// Whether it listens to an account.
    pub(super) fn listens(&self) -> bool {
        self.is_heard() && self.category == Category::Private && !self.subscriptions.is_empty()
    }

    fn is_heard(&self) -> bool {
        self.life == Life::Open && !self.is_silent
    }

    /// What it listens to of the market.
    pub(super) fn topics(&self) -> impl Iterator<Item = &Topic> {
        let heard = self.subscriptions.iter().filter(|_| self.is_heard());
        heard.filter_map(|subscription| subscription.topic.as_ref())
    }

    pub(super) fn is_cut(&self) -> bool {
        self.life == Life::Cut
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn subscribe(&mut self, subscription: Subscription) {
        let is_known = self.subscriptions.iter().any(|found| found.key == subscription.key);
        if !is_known && self.subscriptions.len() < SUBSCRIPTIONS_MAX {
            self.subscriptions.push(subscription);
        }
    }

    pub(super) fn next(&mut self, now_ms: i64) -> Option<StreamMessage> {
        if self.queue.front().is_some_and(|queued| queued.due_ms <= now_ms) {
            return self.queue.pop_front().map(|queued| queued.message);
        }
        // Broken for good, should anybody ask again.
        (self.life != Life::Open && self.queue.is_empty()).then_some(StreamMessage::Broken)
    }

    fn push(&mut self, due_ms: i64, kind: &'static str, message: StreamMessage, overtakes: bool) {
        if self.life != Life::Open {
            return;
        }
        if self.queue.len() >= QUEUED_MAX {
            self.queue.clear();
            self.end(due_ms, StreamMessage::Closed { code: 1008, reason: "too slow" });
            self.life = Life::Cut;
            return;
        }
        let mut place = place_of(&self.queue, due_ms);
        while overtakes
            && let Some(before) = place.checked_sub(1)
            && self
                .queue
                .get(before)
                .is_some_and(|queued| queued.due_ms == due_ms && queued.kind != kind && !queued.kind.is_empty())
        {
            place = before;
        }
        self.queue.insert(place, Queued { due_ms, kind, message });
    }

    /// The last message; behind everything that is on its way.
    fn end(&mut self, at_ms: i64, message: StreamMessage) {
        let due_ms = self.queue.back().map_or(at_ms, |queued| queued.due_ms.max(at_ms));
        self.queue.push_back(Queued { due_ms, kind: "", message });
        self.life = Life::Ended;
    }

    /// The exchange ends it, for a reason of its own.
    pub(super) fn give_up(&mut self, now_ms: i64, code: u16, reason: &'static str) {
        if self.life == Life::Open {
            self.end(now_ms, StreamMessage::Closed { code, reason });
        }
    }

    /// The same right after it was made. It is pinged before, as any other: having heard something proves nothing.
    pub(super) fn turn_away(&mut self, now_ms: i64, code: u16, reason: &'static str) {
        self.push(now_ms, "", StreamMessage::Ping, false);
        self.give_up(now_ms, code, reason);
    }

    /// Tells an event to who listens with a key or to a topic. Whether that is here.
    pub(super) fn tell(
        &mut self,
        key: &str,
        kind: &'static str,
        at_ms: i64,
        body: &str,
        faults: &FaultProfile,
    ) -> bool {
        self.end_of_day(at_ms);
        if !self.is_heard() {
            return false;
        }
        let mut subscriptions = self.subscriptions.iter();
        let is_heard_here = |found: &&Subscription| found.topic.is_some() || self.category == Category::Private;
        let wanted = subscriptions.find(|found| found.key == key && found.wants(kind)).filter(is_heard_here);
        let Some(subscription) = wanted else {
            return false;
        };
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = subscription.name.as_deref().unwrap_or_default();
        let fate = faults.stream.draw(faults.seed, name, kind, *count);
        let mut text =
            if self.is_wrapped { format!("{{\"stream\":\"{key}\",\"data\":{body}}}") } else { body.to_owned() };
        let due_ms = self.last_due_ms.get(kind).map_or(at_ms, |last| at_ms.max(*last)).max(at_ms + fate.delay_ms);
        match fate.lost {
            Some(Lost::Dropped) => return false,
            Some(Lost::Truncated) => text = half(&text),
            Some(Lost::Broken) => {
                self.end(at_ms, StreamMessage::Broken);
                return true;
            }
            Some(Lost::Silenced) => {
                self.is_silent = true;
                return false;
            }
            None => {}
        }
        self.last_due_ms.insert(kind, due_ms);
        if fate.duplicated {
            self.push(due_ms, kind, StreamMessage::Text(text.clone()), fate.reordered);
        }
        self.push(due_ms, kind, StreamMessage::Text(text), fate.reordered);
        true
    }

    /// Pings when it is time. However much time has passed: once.
    pub(super) fn ping(&mut self, now_ms: i64) -> bool {
        if self.life != Life::Open || now_ms - self.pinged_ms < PING_MS {
            return false;
        }
        self.pinged_ms = now_ms;
        self.push(now_ms, "", StreamMessage::Ping, false);
        true
    }

    /// Ends when its day is over.
    pub(super) fn end_of_day(&mut self, until_ms: i64) -> bool {
        let ends_ms = self.opened_ms + DAY_MS;
        let is_over = self.life == Life::Open && until_ms >= ends_ms;
        if is_over {
            self.end(ends_ms, StreamMessage::Closed { code: 1000, reason: "24 hours are over" });
        }
        is_over
    }

    /// What the client says: which streams it wants.
    pub(super) fn hear(&mut self, text: &str, now_ms: i64) {
        if self.is_silent {
            return;
        }
        let said: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let id = said.get("id").cloned().unwrap_or(Value::Null);
        let names = || -> Option<Vec<String>> {
            let names = said.get("params")?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect()
        };
        let answer = match (said.get("method").and_then(Value::as_str), names()) {
            (Some("SUBSCRIBE"), Some(names)) => {
                for name in names {
                    self.subscribe(Subscription::to(&name, self.category));
                }
                json!({ "result": null, "id": id })
            }
            (Some("UNSUBSCRIBE"), Some(names)) => {
                self.subscriptions.retain(|found| !names.contains(&found.key));
                json!({ "result": null, "id": id })
            }
            (Some("LIST_SUBSCRIPTIONS"), _) => {
                let names: Vec<&str> = self.subscriptions.iter().map(|found| found.key.as_str()).collect();
                json!({ "result": names, "id": id })
            }
            // Whether events say which stream they are from can be asked for later, too.
            (Some("SET_PROPERTY"), _) if said.pointer("/params/0") == Some(&"combined".into()) => {
                match said.pointer("/params/1").and_then(Value::as_bool) {
                    Some(is_wrapped) => {
                        self.is_wrapped = is_wrapped;
                        json!({ "result": null, "id": id })
                    }
                    None => json!({ "error": { "code": 1, "msg": "Invalid value type: expected Boolean" }, "id": id }),
                }
            }
            (Some("GET_PROPERTY"), _) if said.pointer("/params/0") == Some(&"combined".into()) => {
                json!({ "result": self.is_wrapped, "id": id })
            }
            (Some("SET_PROPERTY" | "GET_PROPERTY"), _) => {
                json!({ "error": { "code": 0, "msg": "Unknown property" }, "id": id })
            }
            _ => json!({ "error": { "code": 2, "msg": "Invalid request: unknown method or parameters" }, "id": id }),
        };
        self.push(now_ms, "", StreamMessage::Text(answer.to_string()), false);
    }
}
