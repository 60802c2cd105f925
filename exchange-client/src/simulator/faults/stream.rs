//! What goes wrong on a stream. Its connection looks healthy all the while, unless it is what breaks.
//!
//! Events of one type keep their order whatever happens, as the exchange promises; those of different types need not.

use crate::simulator::fixed::Random;

/// How often what goes wrong on streams: every rate is per mille of the events of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamFaults {
    /// The event never comes, and everything goes on.
    pub dropped: u16,
    /// The event comes twice.
    pub duplicated: u16,
    /// The event comes late, and so do those of its type after it.
    pub delayed: u16,
    /// How late at most, in ms.
    pub delay_ms_max: u32,
    /// The event overtakes those of other types from the same instant.
    pub reordered: u16,
    /// The event's text ends early.
    pub truncated: u16,
    /// The connection breaks instead of the event, without a goodbye.
    pub broken: u16,
    /// From this event on the connection stays open and tells nothing; it is still pinged.
    pub silenced: u16,
    /// Per mille of the listen keys whose end is told late.
    pub expiry_late: u16,
    /// How late at most, in ms.
    pub expiry_late_ms_max: u32,
    /// Only events of these types meet all of this; none named: those of every type do.
    pub only: &'static [&'static str],
    /// How many connections may be made within a minute; one more is pinged and ended at once, with 1008. 0 for any number.
    pub connects_1m_max: u16,
}

impl StreamFaults {
    pub(super) const FLAKY: Self = Self {
        dropped: 5,
        duplicated: 10,
        delayed: 50,
        delay_ms_max: 400,
        reordered: 50,
        truncated: 0,
        broken: 4,
        silenced: 0,
        expiry_late: 100,
        expiry_late_ms_max: 10_000,
        only: &[],
        connects_1m_max: 0,
    };

    pub(super) const HOSTILE: Self = Self {
        dropped: 60,
        duplicated: 100,
        delayed: 200,
        delay_ms_max: 5_000,
        reordered: 300,
        truncated: 20,
        broken: 20,
        silenced: 10,
        expiry_late: 500,
        expiry_late_ms_max: 600_000,
        only: &[],
        connects_1m_max: 0,
    };

    /// What becomes of the `count`th event of a type on a connection.
    pub(in crate::simulator) fn draw(&self, seed: u64, connection: &str, kind: &str, count: u64) -> StreamFate {
        if !self.only.is_empty() && !self.only.contains(&kind) {
            return StreamFate { lost: None, duplicated: false, reordered: false, delay_ms: 0 };
        }
        let mut dice = Random::new(seed, &format!("{connection} {kind} {count}"));
        let mut at = dice.between(0, 999);
        let mut lost = None;
        for (rate, kind) in [
            (self.dropped, Lost::Dropped),
            (self.truncated, Lost::Truncated),
            (self.broken, Lost::Broken),
            (self.silenced, Lost::Silenced),
        ] {
            if (0..i64::from(rate)).contains(&at) {
                lost = Some(kind);
                break;
            }
            at -= i64::from(rate);
        }
        let is_expiry = kind == "listenKeyExpired";
        let (rate, ms_max) =
            if is_expiry { (self.expiry_late, self.expiry_late_ms_max) } else { (self.delayed, self.delay_ms_max) };
        StreamFate {
            lost,
            duplicated: dice.happens(self.duplicated),
            reordered: dice.happens(self.reordered),
            delay_ms: if dice.happens(rate) { dice.between(1, i64::from(ms_max.max(1))) } else { 0 },
        }
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) struct StreamFate {
    pub(in crate::simulator) lost: Option<Lost>,
    pub(in crate::simulator) duplicated: bool,
    pub(in crate::simulator) reordered: bool,
    pub(in crate::simulator) delay_ms: i64,
}

/// How an event is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Lost {
    Dropped,
    Truncated,
    Broken,
    Silenced,
}
