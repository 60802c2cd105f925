//! What follows from what the exchange and the book answer.

use std::collections::BTreeSet;
use std::time::Duration;

use exchange_client::ExchangeError;
use ledger_core::LookStream;
use ledger_store::{DiscrepancyStatus, LookResult, NewLook, Seen, SeenWallet, StoreError, StoreResult};
use tokio::time::Instant;

use super::Watching;
use crate::cycle::CycleReport;
use crate::error::ReconcileError;
use crate::service::asking::{BookAnswer, last_look};
use crate::service::book_trouble::{Part, in_words, is_locked};
use crate::service::happening::{HappeningKind, NthCycle, of_cycle};
use crate::service::health::Verdict;
use crate::service::job::JobEnd;
use crate::service::light::LightAnswer;
use crate::service::pace::Job;
use crate::service::{is_final, is_final_of_store, reason_of};
use crate::watch_state::CycleSummary;

/// How often in a row a look is taken again because it met something new.
const RECHECKS_MAX: u32 = 2;
/// The kind of reasons that light looks have for a cycle.
const BOOK_DIFFERS: &str = "book ";
/// The kind of the reason that a cycle has for the next one.
const PENDING: &str = "pending ";

impl Watching<'_> {
    pub(super) async fn ended(&mut self, (job, end): (Job, JobEnd)) -> Result<(), ReconcileError> {
        // A light look that is like the one before is no news.
        self.is_news |= job >= Job::Cycle || self.trouble.summary().is_some();
        match end {
            JobEnd::Light(Ok(answer)) => self.looked(job, answer).await,
            JobEnd::Light(Err(error)) => self.not_answered(job, error),
            JobEnd::Cycle(result) => match *result {
                Ok(report) => {
                    let nth = match (&self.cycle, self.was_compared) {
                        (Some(_), _) => NthCycle::Later,
                        (None, true) => NthCycle::FirstOfWatcher,
                        (None, false) => NthCycle::FirstOfAccount,
                    };
                    for told in of_cycle(&report, nth, &mut self.known) {
                        self.voice.tell(told);
                    }
                    let number = self.cycle.as_ref().map_or(1, |cycle| cycle.number + 1);
                    let (repairs, left) = (report.repair_count(), report.left.len());
                    self.cycle = Some(CycleSummary { ended_local: self.watcher.clock.now(), number, repairs, left });
                    self.look_again_at_pending(&report);
                    if report.failed.is_empty() {
                        self.read_until = Some(report.asked_at);
                    }
                    self.looked_local = Some(self.watcher.clock.now());
                    self.note_own_look().await?;
                    if report.failed.is_empty() {
                        self.answered(true);
                        self.schedule.done(job, Instant::now());
                        if self.health.wants_look() || nth != NthCycle::Later {
                            self.schedule.look_again(Job::Light, Instant::now());
                        }
                    } else {
                        let unanswered: BTreeSet<_> = report.failed.iter().map(|query| query.what.as_str()).collect();
                        let what = unanswered.into_iter().collect::<Vec<_>>().join(", ");
                        let spread = self.chance();
                        let (attempts, _) = self.schedule.done_in_part(job, Instant::now(), spread);
                        let (now, reason) = (self.watcher.clock.now(), format!("the exchange did not answer: {what}"));
                        let told = self.trouble.goes_on_in_part(now, attempts, reason);
                        self.tell(told);
                    }
                    Ok(())
                }
                Err(error) => {
                    self.not_answered(job, error)?;
                    // That it failed is on record as a look, too.
                    self.note_own_look().await
                }
            },
        }
    }

    /// What one look claims waits for a second one, which is taken as soon as it can tell: not after each of many cycles in a
    /// row, for where so much goes on there is always something on its way.
    fn look_again_at_pending(&mut self, report: &CycleReport) {
        self.pends = report.left.iter().any(|known| known.entry.status == DiscrepancyStatus::Pending);
        let reasons = self.pends.then(String::new).into_iter().collect();
        if self.insisting.asks(PENDING, &reasons, Instant::now()) {
            let lag_ms = u64::try_from(self.watcher.exchange.venue().settle_lag_ms).unwrap_or(0);
            self.schedule.wake(Instant::now() + Duration::from_millis(lag_ms));
        }
    }

    /// Holds a light look against the stream and against the book.
    async fn looked(&mut self, job: Job, mut answer: LightAnswer) -> Result<(), ReconcileError> {
        let now = Instant::now();
        self.schedule.done(job, now);
        self.answered(false);
        self.looked_local = Some(self.watcher.clock.now());
        let before = self.health.state();
        // Where the book does not take what the stream tells, nothing is taken from it: it is not to be held against it.
        let verdict = if self.recording.has_failed() {
            Verdict::Agrees
        } else {
            self.health.hold_against(answer.asked_at, &answer.positions, &answer.balances, &answer.unread)
        };
        self.is_news |= self.health.state() != before;
        match verdict {
            Verdict::Agrees => {}
            Verdict::Missed => self.schedule.wake(now),
            Verdict::Unsure(_) => self.schedule.look_again(Job::Light, now + self.watcher.config.pace.recheck),
            Verdict::Untold(untold) => {
                let words: Vec<_> = untold.iter().map(ToString::to_string).collect();
                let text = format!(
                    "the stream stands and tells not everything: {}; it is connected anew, and what it missed is being read",
                    words.join(", ")
                );
                self.voice.tell((HappeningKind::StreamDoubted, text));
                if let Some(listening) = &self.listening {
                    listening.connect_anew();
                }
                self.schedule.wake(now);
            }
        }
        // A difference may be on its way; it counts when a look a moment later sees the same.
        let stays = answer.differs.intersection(&self.unsettled);
        let stays = stays.map(|it| format!("{} {}", it.symbol, it.what)).collect();
        if self.insisting.asks(BOOK_DIFFERS, &stays, now) {
            self.schedule.wake(now);
        }
        let is_new = answer.differs.iter().any(|it| !self.unsettled.contains(it));
        self.rechecks = if is_new { self.rechecks + 1 } else { 0 };
        // Where so much goes on that each look meets something on its way, the next look in its turn says what stays.
        if is_new && self.rechecks <= RECHECKS_MAX {
            self.schedule.look_again(job, now + self.watcher.config.pace.recheck);
        } else {
            self.rechecks = 0;
        }
        // What differs is neither confirmed nor in the way of what does not.
        answer.unreadable.extend(answer.differs.iter().map(|it| it.symbol.clone()));
        self.unsettled = std::mem::take(&mut answer.differs);
        self.note_look(&answer).await
    }

    /// Writes down that the exchange was looked at, and that the book is what it said.
    async fn note_look(&mut self, answer: &LightAnswer) -> Result<(), ReconcileError> {
        let seen = || LookResult::Seen {
            seen_at: answer.asked_at,
            seen: Seen { except: answer.unreadable.clone(), ..Seen::default() },
        };
        let wallets = answer.wallets.iter();
        let wallets = wallets.map(|stated| (stated.asset.clone(), SeenWallet { ts: stated.at, wallet: stated.wallet }));
        let balances = Seen { wallets: wallets.collect(), ..Seen::default() };
        let balances = LookResult::Seen { seen_at: answer.asked_at, seen: balances };
        let positions = LookResult::Seen {
            seen_at: answer.asked_at,
            seen: Seen {
                except: answer.unreadable.clone(),
                liquidations: answer.liquidations.clone(),
                ..Seen::default()
            },
        };
        let mut streams = vec![(LookStream::Positions, positions), (LookStream::Balances, balances)];
        if answer.has_orders {
            streams.push((LookStream::Orders, seen()));
        }
        let marks = self.marks.of_held(&answer.positions, answer.asked_at);
        if !marks.is_empty() {
            let seen = Seen { marks, ..Seen::default() };
            streams.push((LookStream::Prices, LookResult::Seen { seen_at: answer.asked_at, seen }));
        }
        let now = self.watcher.clock.now();
        let look = NewLook {
            account: self.watcher.account().clone(),
            began_local: now,
            ended_local: now,
            began_at: None,
            ended_at: None,
            streams: streams.into_iter().collect(),
        };
        let recorded = self.book.record_look(look).await;
        self.survive(recorded)
    }

    /// Takes what the book says that wants a cycle, and which marks are worth keeping.
    pub(super) async fn book_answered(
        &mut self,
        (asked_after, answer): (u64, StoreResult<BookAnswer>),
    ) -> Result<(), ReconcileError> {
        let Some(answer) = self.survived(answer)? else { return Ok(()) };
        let now = Instant::now();
        let reasons = [("intent ", &answer.intents), ("residual ", &answer.residuals), ("feeless ", &answer.feeless)];
        for (kind, reasons) in reasons {
            if self.insisting.asks(kind, reasons, now) {
                self.schedule.wake(now);
            }
        }
        if self.running.is_none() && self.known_look.is_anothers(asked_after, answer.last_look) {
            self.schedule.wake(now);
        }
        (self.marks.priced, self.marks.settled_in) = (answer.priced, answer.settled_in);
        // What cannot be recorded must not pile up.
        if self.recording.has_failed() {
            return Ok(());
        }
        let stride_ms = i64::try_from(self.watcher.config.pace.marks.as_millis()).unwrap_or(i64::MAX);
        let sampled = self.marks.sample(self.watcher.clock.now(), stride_ms);
        self.recording.add(sampled);
        self.record().await
    }

    /// Takes the last look on record for its own: a cycle of this watcher has just ended.
    async fn note_own_look(&mut self) -> Result<(), ReconcileError> {
        let last = last_look(&*self.book, self.watcher.account()).await;
        let last = self.survived(last)?.flatten();
        self.known_look.cycle_ended(last);
        Ok(())
    }

    /// An answer of the book, unless it failed with something that passes: that is tried again with the next look.
    pub(super) fn survived<T>(&mut self, answer: Result<T, StoreError>) -> Result<Option<T>, ReconcileError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(source) if is_final_of_store(&source) => Err(ReconcileError::Store { doing: "watching", source }),
            Err(error) => {
                tracing::warn!(account = %self.watcher.account(), %error, "the book did not answer");
                if is_locked(&error) {
                    self.book_failed(Part::Signs, &reason_of(&error));
                }
                Ok(None)
            }
        }
    }

    /// A sign of life is not in the book, with something that passes: the next one is tried.
    pub(super) fn not_signed(&mut self, error: StoreError) -> Result<(), ReconcileError> {
        let reason = reason_of(&error);
        self.survive(Err(error))?;
        self.book_failed(Part::Signs, &reason);
        Ok(())
    }

    fn book_failed(&mut self, part: Part, reason: &str) {
        let told = self.book_trouble.fails(part, self.watcher.clock.now(), in_words(reason));
        self.tell(told);
    }

    pub(super) fn survive(&mut self, answer: Result<(), StoreError>) -> Result<(), ReconcileError> {
        self.survived(answer).map(drop)
    }

    fn not_answered(&mut self, job: Job, error: ReconcileError) -> Result<(), ReconcileError> {
        if is_final(&error) {
            return Err(error);
        }
        self.failed(job, &error);
        Ok(())
    }

    pub(super) fn failed(&mut self, job: Job, error: &ReconcileError) -> Duration {
        // What the book fails on is not the exchange's fault, and is not told as that.
        if let ReconcileError::Store { source, .. } = error {
            let part = match job {
                _ if is_locked(source) => Part::Signs,
                Job::Light | Job::Orders => Part::Looks,
                Job::Cycle | Job::DeepCycle => Part::Cycles,
            };
            self.book_failed(part, &reason_of(error));
            let spread = self.chance();
            return self.schedule.failed(job, Instant::now(), spread, Duration::ZERO);
        }
        let forbidden = match error {
            ReconcileError::Exchange(error) => error.retry_at(),
            _ => None,
        };
        let forbidden_ms = forbidden.map_or(0, |until| until.as_ms().saturating_sub(self.watcher.clock.now().as_ms()));
        let at_least = Duration::from_millis(u64::try_from(forbidden_ms).unwrap_or(0));
        let delay = self.not_reached(job, reason_of(error), at_least);
        if let ReconcileError::Exchange(ExchangeError::Banned { until, .. }) = error {
            self.trouble.is_banned(*until);
        }
        delay
    }

    fn not_reached(&mut self, job: Job, reason: String, at_least: Duration) -> Duration {
        let spread = self.chance();
        let delay = self.schedule.failed(job, Instant::now(), spread, at_least);
        let told = self.trouble.goes_on(self.watcher.clock.now(), self.schedule.failures(), reason);
        self.tell(told);
        delay
    }

    pub(super) fn answered(&mut self, is_cycle: bool) {
        let part = if is_cycle { Part::Cycles } else { Part::Looks };
        let told = self.book_trouble.works(part, self.watcher.clock.now());
        self.tell(told);
        let told = self.trouble.is_over(self.watcher.clock.now(), is_cycle);
        if let (Some(_), Some(listening)) = (&told, &self.listening) {
            listening.hurry();
        }
        self.tell(told);
    }
}
