//! What goes wrong between a client and the exchange, by seed. The exchange itself is never harmed: what it accepted it
//! did, what it refused it did not do, and its books stay right.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `the_same_seed_gives_the_same_faults`.
//! 2. `faults_never_reach_the_books`.

mod stream;

use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

pub(super) use self::stream::Lost;
pub use self::stream::StreamFaults;
use super::fixed::Random;

/// How often what goes wrong: every rate is per mille of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultProfile {
    /// The connection breaks before the request is accepted.
    pub lost_before: u16,
    /// The request is carried out, and the connection breaks before the answer.
    pub lost_after: u16,
    /// The connection breaks in the middle of the answer.
    pub cut_off: u16,
    /// The answer ends early, and looks complete to HTTP.
    pub truncated: u16,
    /// A gateway answers with HTML and 502; the request was carried out or not.
    pub html: u16,
    /// 429, not carried out.
    pub throttled: u16,
    /// 418, not carried out.
    pub banned: u16,
    /// 403 with HTML by a firewall, not carried out.
    pub forbidden: u16,
    /// 408 and -1007; carried out or not.
    pub timed_out: u16,
    /// 503 "Service Unavailable.", not carried out.
    pub unavailable: u16,
    /// 503 "Unknown error, ...": carried out or not.
    pub unknown: u16,
    /// 503 and -1008, not carried out; cancelling is exempt.
    pub overloaded: u16,
    /// One row of a list comes twice.
    pub duplicated: u16,
    /// The rows of a list come in another order.
    pub reordered: u16,
    /// A snapshot (positions, balances, open orders) is the one that was asked for before.
    pub stale: u16,
    /// The answer takes its time.
    pub delayed: u16,
    /// How long at most, in ms.
    pub delay_ms_max: u32,
    /// Per mille of the fills and ledger entries that appear late.
    pub late: u16,
    /// How late at most, in ms.
    pub late_ms_max: u32,
    /// How far the exchange's clock is ahead of everybody's, in ms.
    pub clock_skew_ms: i64,
    /// Only requests to these endpoints (`POST /fapi/v1/order`; `stream` for opening one) meet what is said above by rate; none
    /// named: all do.
    pub only: &'static [&'static str],
    /// What goes wrong on streams. Whether one can be opened is a request like any other.
    pub stream: StreamFaults,
    /// Decides which request meets which fault.
    pub seed: u64,
}

/// There is no fault profile of that name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no fault profile `{0}`; there are none, flaky and hostile")]
pub struct UnknownFaultProfile(pub String);

impl FromStr for FaultProfile {
    type Err = UnknownFaultProfile;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "none" => Ok(Self::none()),
            "flaky" => Ok(Self::flaky()),
            "hostile" => Ok(Self::hostile()),
            _ => Err(UnknownFaultProfile(name.to_owned())),
        }
    }
}

impl FaultProfile {
    /// Everything works.
    pub fn none() -> Self {
        Self::default()
    }

    /// A bad day: about one request in twenty fails, some fills come a little late.
    pub fn flaky() -> Self {
        Self {
            lost_before: 8,
            lost_after: 6,
            cut_off: 4,
            html: 4,
            throttled: 4,
            timed_out: 4,
            unavailable: 8,
            unknown: 4,
            overloaded: 4,
            duplicated: 10,
            reordered: 10,
            delayed: 50,
            delay_ms_max: 80,
            late: 100,
            late_ms_max: 5_000,
            clock_skew_ms: 300,
            stream: StreamFaults::FLAKY,
            ..Self::default()
        }
    }

    /// Everything that can go wrong does: about one request in four fails, answers lie behind, the clock is off by more
    /// than a request may be old.
    pub fn hostile() -> Self {
        Self {
            lost_before: 30,
            lost_after: 40,
            cut_off: 25,
            truncated: 15,
            html: 20,
            throttled: 15,
            banned: 2,
            forbidden: 3,
            timed_out: 25,
            unavailable: 30,
            unknown: 30,
            overloaded: 15,
            duplicated: 100,
            reordered: 100,
            stale: 60,
            delayed: 100,
            delay_ms_max: 150,
            late: 400,
            late_ms_max: 30_000,
            clock_skew_ms: -6_500,
            stream: StreamFaults::HOSTILE,
            ..Self::default()
        }
    }

    /// The same profile with other dice.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How much later than others something with this number appears, in ms.
    pub(super) fn late_ms(&self, number: i64) -> i64 {
        if self.late == 0 {
            return 0;
        }
        let mut dice = Random::new(self.seed, &format!("late {number}"));
        if dice.happens(self.late) { dice.between(1, i64::from(self.late_ms_max.max(1))) } else { 0 }
    }

    /// What becomes of the `count`th request to an endpoint.
    pub(super) fn draw(&self, endpoint: &str, count: u64) -> Fate {
        if !self.only.is_empty() && !self.only.contains(&endpoint) {
            let rows = Rows { duplicated: false, reordered: false, stale: false, dice: 0 };
            return Fate { fault: None, rows, delay_ms: 0 };
        }
        let mut dice = Random::new(self.seed, &format!("{endpoint} {count}"));
        let mut at = dice.between(0, 999);
        let carried_out = dice.happens(500);
        let delay_ms = if dice.happens(self.delayed) { dice.between(0, i64::from(self.delay_ms_max)) } else { 0 };
        let rows = Rows {
            duplicated: dice.happens(self.duplicated),
            reordered: dice.happens(self.reordered),
            stale: dice.happens(self.stale),
            dice: dice.next(),
        };
        let mut fault = None;
        for (rate, kind) in [
            (self.lost_before, Fault::LostBefore),
            (self.lost_after, Fault::LostAfter),
            (self.cut_off, Fault::CutOff),
            (self.truncated, Fault::Truncated),
            (self.html, Fault::Html { carried_out }),
            (self.throttled, Fault::Throttled),
            (self.banned, Fault::Banned),
            (self.forbidden, Fault::Forbidden),
            (self.timed_out, Fault::TimedOut { carried_out }),
            (self.unavailable, Fault::Unavailable),
            (self.unknown, Fault::Unknown { carried_out }),
            (self.overloaded, Fault::Overloaded),
        ] {
            if (0..i64::from(rate)).contains(&at) {
                fault = Some(kind);
                break;
            }
            at -= i64::from(rate);
        }
        Fate { fault, rows, delay_ms: u64::try_from(delay_ms).unwrap_or(0) }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) fault: Option<Fault>,
    pub(super) rows: Rows,
    pub(super) delay_ms: u64,
}

/// What goes wrong with a request as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    LostBefore,
    LostAfter,
    CutOff,
    Truncated,
    Html { carried_out: bool },
    Throttled,
    Banned,
    Forbidden,
    TimedOut { carried_out: bool },
    Unavailable,
    Unknown { carried_out: bool },
    Overloaded,
}

impl Fault {
    /// Whether the request is carried out all the same.
    pub(super) fn carries_out(self) -> bool {
        match self {
            Self::LostAfter | Self::CutOff | Self::Truncated => true,
            Self::Html { carried_out } | Self::TimedOut { carried_out } | Self::Unknown { carried_out } => carried_out,
            _ => false,
        }
    }

    /// What is answered instead, if something is: status, seconds to wait, whether it is HTML, body.
    pub(super) fn answer(self) -> Option<(u16, Option<i64>, bool, String)> {
        let json = |code: i64, message: &str| serde_json::json!({ "code": code, "msg": message }).to_string();
        let html = |title: &str| {
            format!(
                "<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center></body>\r\n</html>\r\n"
            )
        };
        Some(match self {
            Self::LostBefore | Self::LostAfter | Self::CutOff | Self::Truncated => return None,
            Self::Html { .. } => (502, None, true, html("502 Bad Gateway")),
            Self::Throttled => {
                (429, Some(5), false, json(-1003, "Too many requests; current limit is 2400 requests per minute."))
            }
            Self::Banned => (418, Some(120), false, json(-1003, "Way too many requests; IP(127.0.0.1) banned.")),
            Self::Forbidden => (403, None, true, html("403 Forbidden")),
            Self::TimedOut { .. } => (
                408,
                None,
                false,
                json(
                    -1007,
                    "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
                ),
            ),
            Self::Unavailable => (503, None, false, json(-1, "Service Unavailable.")),
            Self::Unknown { .. } => {
                (503, None, false, json(-1, "Unknown error, please check your request or try again later."))
            }
            Self::Overloaded => (
                503,
                None,
                false,
                json(
                    -1008,
                    "Request throttled by system-level protection. Reduce-only, close-position and cancel orders are exempt.",
                ),
            ),
        })
    }
}

/// What goes wrong with the rows of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    duplicated: bool,
    reordered: bool,
    pub(super) stale: bool,
    dice: u64,
}

impl Rows {
    /// Lists longer than this are left alone: a row more could be a row more than a page holds.
    const DUPLICATED_MAX: usize = 90;

    /// Doubles and reorders the rows of a list. None is lost, none is changed.
    pub(super) fn disturb(self, value: &mut Value) {
        let Value::Array(rows) = value else {
            return;
        };
        let mut dice = Random::new(self.dice, "rows");
        let mut any =
            |below: usize| usize::try_from(dice.between(0, i64::try_from(below).unwrap_or(1) - 1)).unwrap_or(0);
        if self.duplicated && !rows.is_empty() && rows.len() <= Self::DUPLICATED_MAX {
            let twice = any(rows.len());
            if let Some(row) = rows.get(twice).cloned() {
                rows.insert(twice, row);
            }
        }
        if self.reordered {
            for at in (1..rows.len()).rev() {
                rows.swap(at, any(at + 1));
            }
        }
    }
}
