//! The lease on an account: one process watches it, and whoever was one before writes nothing any more.

use std::fs::File;

use ledger_core::{AccountId, TimestampMs};

/// Who wants to watch an account, and for how long without a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The account.
    pub account: AccountId,
    /// Who asks, for people to read: a machine and a process.
    pub holder: String,
    /// Now, by the local clock.
    pub now_local: TimestampMs,
    /// Until when the lease counts unless it is renewed.
    pub until_local: TimestampMs,
}

/// A fencing number: what is written under it is refused as soon as another lease was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The account.
    pub account: AccountId,
    /// Grows with each lease of the account.
    pub number: i64,
}

/// A lease that was given, with the lock by which others see that its holder lives.
#[derive(Debug)]
pub struct HeldLease {
    /// What fences its writes.
    pub lease: Lease,
    /// `None` where there is no file, the file system knows no locks, or a holder that does not move has it.
    pub(crate) lock: Option<File>,
    /// What the book's path named when the lease was taken, where there is a file.
    pub(crate) book_file: Option<u64>,
}

impl HeldLease {
    /// One that no file tells of: for a book without a file.
    pub fn unseen(lease: Lease) -> Self {
        Self { lease, lock: None, book_file: None }
    }
}

/// The answer to who wants to watch.
#[derive(Debug)]
pub enum LeaseAnswer {
    /// The account is theirs.
    Granted(HeldLease),
    /// Somebody else watches it.
    Held(LeaseRecord),
}

/// What the book says of the last lease on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Its fencing number.
    pub lease: Lease,
    /// Who has it, or had.
    pub holder: String,
    /// Since when, by the local clock.
    pub taken_local: TimestampMs,
    /// The last sign of life, by the local clock.
    pub renewed_local: TimestampMs,
    /// Until when it counts without another one, by the local clock.
    pub until_local: TimestampMs,
    /// When it was given back, by the local clock; `None` while it is held, and when its holder died.
    pub ended_local: Option<TimestampMs>,
    /// What the holder last said of itself, as JSON.
    pub state_json: Option<String>,
    /// Whether its holder's process is seen to live; `None` where no file tells.
    pub is_alive: Option<bool>,
}

impl LeaseRecord {
    /// Whether the account is watched at `now_local`: the lease was not given back, and its holder lives, or where nothing
    /// tells that, has given a sign of life in time.
    pub fn is_in_force(&self, now_local: TimestampMs) -> bool {
        self.ended_local.is_none() && self.is_alive != Some(false) && now_local <= self.until_local
    }
}
