//! What a person sees while the exchange is asked: how much was asked, what is waited for, and for how long.

use std::time::Duration;

use exchange_client::ExchangeReader;
use ledger_core::{AccountId, TimestampMs};
use tokio::time::Instant;

use super::super::rebuild::count;
use crate::Context;
use crate::times::show_time;

/// How often it is shown how far the work is.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// After how long without a new request it is told that nothing moves; then again after twice the time.
const SILENCE_FIRST: Duration = Duration::from_secs(5);

/// Who is asked, for whom.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) account: &'a AccountId,
    pub(super) base_url: &'a str,
    pub(super) exchange: &'a dyn ExchangeReader,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Who answers: one request, repeated until it is answered.
    Account,
    /// Which contracts there are: one request, too.
    Contracts,
    /// What happened: many.
    History,
}

impl Question {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "who the account is",
            Self::Contracts => "which contracts there are",
            Self::History => "what happened",
        }
    }
}

/// Waits for work with the exchange, and tells meanwhile how far it is: a first sync of a long history takes its minutes,
/// one that has used its share of the exchange's budget waits for the next minute, and one that gets no answer tries again.
pub(super) async fn beside<T>(
    question: Question,
    work: impl Future<Output = T>,
    Waiting { account, base_url, exchange }: Waiting<'_>,
    context: &mut Context,
) -> T {
    let what = question.as_str();
    let mut work = std::pin::pin!(work);
    let mut told: Option<TimestampMs> = None;
    let (mut moved_at, mut requests, mut silence_max) = (Instant::now(), exchange.usage().requests, SILENCE_FIRST);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PROGRESS_EVERY) => {}
        }
        let usage = exchange.usage();
        let now = context.clock.now();
        let output = &mut context.output;
        // Also where no terminal is: whoever reads the log must see why nothing happens. Each wait is told once; several
        // requests wait for the same minute, measured a little apart.
        let is_new = |until: &TimestampMs| told.is_none_or(|told| *until > told.saturating_add_ms(1_000));
        let waits_until = usage.waits_until.filter(|until| *until > now);
        if let Some(until) = waits_until.filter(is_new) {
            told = Some(until);
            let until = show_time(until.saturating_add_ms(999 - (until.as_ms() + 999) % 1_000), &output.zone);
            output.remark(&format!(
                "account {account}: waiting until {until} for request weight: this run's share of the minute is used up"
            ));
        }
        let moves = question == Question::History && usage.requests != requests;
        if moves || waits_until.is_some() {
            (moved_at, requests, silence_max) = (Instant::now(), usage.requests, SILENCE_FIRST);
        } else if moved_at.elapsed() >= silence_max {
            silence_max *= 2;
            output.remark(&format!(
                "account {account}: {base_url} was asked {what} {} s ago, and has not answered yet ({} so far); still trying",
                moved_at.elapsed().as_secs(),
                count(usage.requests, "request")
            ));
        }
        let asked = format!("{} of weight {}", count(usage.requests, "request"), usage.weight);
        output.progress(&format!("account {account}: asking {what}: {asked}"));
    }
}
