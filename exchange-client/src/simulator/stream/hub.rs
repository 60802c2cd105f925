//! Who listens, with which keys, and what is on its way to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::json;

use super::connection::{Connection, Queued};
use super::target::Target;
use super::{StreamMessage, StreamRefused};
use crate::simulator::events::Told;
use crate::simulator::faults::FaultProfile;
use crate::simulator::feed::{News, Topic};
use crate::simulator::fixed::Random;

/// How long a listen key is valid after it was made or kept.
const KEY_MS: i64 = 60 * 60_000;
/// How many connections there may be at once.
const CONNECTIONS_MAX: usize = 300;
const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Clone)]
struct ListenKey {
    text: String,
    expires_ms: i64,
}

/// All connections, and the keys that they may be opened with.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Streams {
    /// By account; those that are valid.
    keys: BTreeMap<usize, ListenKey>,
    /// How many were ever made for an account.
    keys_made: BTreeMap<usize, u64>,
    /// How often each key was listened with, for the dice.
    listened: BTreeMap<usize, u64>,
    connections: BTreeMap<u64, Connection>,
    opened: u64,
    /// When those of the last minute were made.
    opened_ms: VecDeque<i64>,
}

impl Streams {
    /// The account's key, valid for another hour; a new one if it has none.
    pub(in crate::simulator) fn make_key(&mut self, account: usize, seed: u64, now_ms: i64) -> String {
        if let Some(key) = self.keep_key(account, now_ms) {
            return key;
        }
        let made = self.keys_made.entry(account).or_default();
        *made += 1;
        let mut random = Random::new(seed, &format!("listen key {account} {made}"));
        let text = std::iter::repeat_with(|| format!("{:016x}", random.next())).take(4).collect::<String>();
        self.keys.insert(account, ListenKey { text: text.clone(), expires_ms: now_ms + KEY_MS });
        text
    }

    /// The account's key, valid for another hour, if it has one.
    pub(in crate::simulator) fn keep_key(&mut self, account: usize, now_ms: i64) -> Option<String> {
        let key = self.keys.get_mut(&account)?;
        key.expires_ms = now_ms + KEY_MS;
        Some(key.text.clone())
    }

    /// Takes the account's key away, if it has one.
    pub(in crate::simulator) fn end_key(&mut self, account: usize) -> Option<()> {
        self.keys.remove(&account).map(drop)
    }

    /// How many connections were ever made.
    pub(in crate::simulator) fn opened(&self) -> u64 {
        self.opened
    }

    /// Ends all connections at once.
    pub(in crate::simulator) fn end_all(&mut self, now_ms: i64) {
        for connection in self.connections.values_mut() {
            connection.give_up(now_ms, 1001, "the server goes away");
        }
    }

    /// What is listened to of the market.
    pub(in crate::simulator) fn topics(&self) -> BTreeSet<Topic> {
        self.connections.values().flat_map(Connection::topics).cloned().collect()
    }

    /// Whether anything that happens to accounts may be told to somebody.
    pub(in crate::simulator) fn is_listened(&self) -> bool {
        self.connections.values().any(Connection::listens)
    }

    /// Opens a connection; its number. Beyond `connects_1m_max` in a minute it is over at once, with a ping before.
    pub(super) fn open(&mut self, target: Target, now_ms: i64, connects_1m_max: u16) -> Result<u64, StreamRefused> {
        if self.connections.len() >= CONNECTIONS_MAX {
            return Err(StreamRefused { status: Some(503) });
        }
        self.opened += 1;
        let mut connection = Connection::new(target.is_wrapped, target.category, now_ms);
        for subscription in target.subscriptions {
            connection.subscribe(subscription);
        }
        self.opened_ms.retain(|at_ms| now_ms - at_ms < MINUTE_MS);
        self.opened_ms.push_back(now_ms);
        if connects_1m_max > 0 && self.opened_ms.len() > usize::from(connects_1m_max) {
            connection.turn_away(now_ms, 1008, "too many connections");
        }
        self.connections.insert(self.opened, connection);
        self.name_listeners();
        Ok(self.opened)
    }

    /// Closes a connection; what was on its way is forgotten.
    pub(super) fn close(&mut self, id: u64) {
        self.connections.remove(&id);
    }

    /// What is due on a connection.
    pub(super) fn next(&mut self, id: u64, now_ms: i64) -> Option<StreamMessage> {
        self.connections.get_mut(&id).map_or(Some(StreamMessage::Broken), |connection| connection.next(now_ms))
    }

    /// Whether everything on a connection is lost.
    pub(super) fn is_cut(&self, id: u64) -> bool {
        self.connections.get(&id).is_none_or(Connection::is_cut)
    }

    /// What the client says on a connection.
    pub(super) fn hear(&mut self, id: u64, text: &str, now_ms: i64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.hear(text, now_ms);
        }
        self.name_listeners();
    }

    /// Every key that is listened with for the first time on a connection gives it a name for the dice, so that what
    /// happens to it does not depend on anybody else's connections.
    fn name_listeners(&mut self) {
        let Self { keys, listened, connections, .. } = self;
        for connection in connections.values_mut() {
            for subscription in connection.subscriptions.iter_mut().filter(|found| found.name.is_none()) {
                if let Some((account, _)) = keys.iter().find(|(_, key)| key.text == subscription.key) {
                    let count = listened.entry(*account).or_default();
                    *count += 1;
                    subscription.name = Some(format!("stream {account} {count}"));
                }
            }
        }
    }

    /// Passes on what happened up to now. Whether anything new is on its way.
    pub(in crate::simulator) fn deliver(
        &mut self,
        told: Vec<Told>,
        news: Vec<News>,
        now_ms: i64,
        faults: &FaultProfile,
    ) -> bool {
        if self.connections.is_empty() && self.keys.is_empty() {
            return false;
        }
        let mut is_news = false;
        for told in told {
            is_news |= self.let_pass(told.at_ms, faults);
            let Some(key) = self.keys.get(&told.account).cloned() else { continue };
            let body = told.body.to_string();
            is_news |= self.tell(&key.text, told.kind, told.at_ms, &body, faults);
        }
        // Nobody listens to an account and to the market on one connection.
        for news in news {
            let body = news.body.to_string();
            is_news |= self.tell(&news.topic, news.kind, news.at_ms, &body, faults);
        }
        is_news |= self.let_pass(now_ms, faults);
        for connection in self.connections.values_mut() {
            is_news |= connection.ping(now_ms);
        }
        is_news
    }

    /// How much waits for the slowest client.
    #[cfg(test)]
    pub(in crate::simulator) fn waiting_max(&self) -> usize {
        self.connections.values().map(Connection::waiting).max().unwrap_or(0)
    }

    fn tell(&mut self, key: &str, kind: &'static str, at_ms: i64, body: &str, faults: &FaultProfile) -> bool {
        let mut is_news = false;
        for connection in self.connections.values_mut() {
            is_news |= connection.tell(key, kind, at_ms, body, faults);
        }
        is_news
    }

    /// Ends what is over by `until_ms`: keys, and connections after a day.
    fn let_pass(&mut self, until_ms: i64, faults: &FaultProfile) -> bool {
        let mut is_news = false;
        let expired: Vec<(usize, ListenKey)> = self
            .keys
            .iter()
            .filter(|(_, key)| key.expires_ms <= until_ms)
            .map(|(account, key)| (*account, key.clone()))
            .collect();
        for (account, key) in expired {
            self.keys.remove(&account);
            let body = json!({ "e": "listenKeyExpired", "E": key.expires_ms, "listenKey": key.text }).to_string();
            is_news |= self.tell(&key.text, "listenKeyExpired", key.expires_ms, &body, faults);
        }
        for connection in self.connections.values_mut() {
            is_news |= connection.end_of_day(until_ms);
        }
        is_news
    }
}

/// Messages in the order in which they are due.
pub(super) fn place_of(queue: &VecDeque<Queued>, due_ms: i64) -> usize {
    queue.partition_point(|queued| queued.due_ms <= due_ms)
}
