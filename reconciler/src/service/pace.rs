//! How often a watched account is looked at, and what is due next. Pure: the caller tells the time.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_is_due_first_comes_first`, a wake beats every interval, and `cycles_in_a_row_keep_no_light_look_waiting`.
//! 2. `failures_grow_apart_and_never_end`, and a wake does not hurry what the exchange forbids.
//! 3. `intervals_stretch_so_that_all_accounts_fit`.

use std::time::Duration;

use tokio::time::Instant;

/// How often a watched account is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Positions and balances: what every fill, fee, payment and transfer moves.
    pub light: Duration,
    /// The lists of working orders, with the above.
    pub orders: Duration,
    /// Everything, as a sync does.
    pub cycle: Duration,
    /// Everything, read again as far back as a sync without a stream does: lists of orders have been seen to lag by hours.
    pub deep: Duration,
    /// Marks of open positions and of the assets in the ledger are recorded this often where nothing else is.
    pub marks: Duration,
    /// The book is asked this often what in it wants a cycle.
    pub book: Duration,
    /// How long after a doubt the account is looked at once more before anything follows from it.
    pub recheck: Duration,
    /// The first delay behind a failure; each further one doubles it.
    pub retry_first: Duration,
    /// The longest delay behind a failure.
    pub retry_max: Duration,
    /// By how much the intervals are longer than those of a single account at its address.
    pub stretch: u32,
}

impl Default for Pace {
    /// A light look a minute weighs 10 of 2,400 at Binance, lists of orders every 5 minutes some 80, a full cycle every 10
    /// minutes, which reads the ledger as well, some 220: 48 a minute.
    fn default() -> Self {
        Self {
            light: Duration::from_mins(1),
            orders: Duration::from_mins(5),
            cycle: Duration::from_mins(10),
            deep: Duration::from_hours(6),
            marks: Duration::from_mins(15),
            book: Duration::from_secs(5),
            recheck: Duration::from_secs(3),
            retry_first: Duration::from_secs(2),
            retry_max: Duration::from_mins(2),
            stretch: 1,
        }
    }
}

/// What the intervals of one account weigh in a minute.
const WEIGHT_1M: u32 = 48;

impl Pace {
    /// The pace of each of `accounts` that share an address, where looking may cost `weight_1m` a minute in all: a fifth of
    /// that is for looks that nothing asked for.
    #[must_use]
    pub fn shared(self, accounts: usize, weight_1m: u32) -> Self {
        let accounts = u32::try_from(accounts).unwrap_or(u32::MAX).max(1);
        let fits = (weight_1m / 5).max(WEIGHT_1M);
        let stretch = accounts.saturating_mul(WEIGHT_1M).div_ceil(fits).max(1);
        Self {
            light: self.light.saturating_mul(stretch),
            orders: self.orders.saturating_mul(stretch),
            cycle: self.cycle.saturating_mul(stretch),
            stretch: self.stretch.saturating_mul(stretch),
            ..self
        }
    }
}

/// What is done at the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// Positions and balances.
    Light,
    /// The same, and the working orders.
    Orders,
    /// Everything.
    Cycle,
    /// Everything, far back.
    DeepCycle,
}

/// When what is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    light: Instant,
    orders: Instant,
    cycle: Instant,
    deep: Instant,
    /// A cycle was asked for.
    wake: Option<Instant>,
    /// Nothing is asked before.
    not_before: Option<Instant>,
    failures: u32,
    /// How many cycles in a row were not answered in all parts.
    partial: u32,
}

impl Schedule {
    /// Everything is due at once, with the full cycle first.
    pub(crate) fn new(pace: Pace, now: Instant) -> Self {
        let (light, orders, cycle) = (now + pace.light, now + pace.orders, now + pace.cycle);
        Self { pace, light, orders, cycle, deep: now, wake: None, not_before: None, failures: 0, partial: 0 }
    }

    /// What comes next, and when.
    pub(crate) fn next(&self) -> (Instant, Job) {
        let due = [
            (self.deep, Job::DeepCycle),
            (self.wake.map_or(self.cycle, |wake| wake.min(self.cycle)), Job::Cycle),
            (self.orders, Job::Orders),
            (self.light, Job::Light),
        ];
        // Of what is due at one time the one that sees most.
        let (at, job) = due.into_iter().min_by_key(|(at, _)| *at).unwrap_or((self.light, Job::Light));
        let at = self.not_before.map_or(at, |not_before| at.max(not_before));
        let most = due.into_iter().filter(|(due, _)| *due <= at).map(|(_, job)| job).max();
        (at, most.unwrap_or(job))
    }

    /// A cycle is wanted at `at`, or earlier if one is wanted then already.
    pub(crate) fn wake(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// A light look like `job` is wanted at `at`: with the working orders where that one had them.
    pub(crate) fn look_again(&mut self, job: Job, at: Instant) {
        let due = if job == Job::Orders { &mut self.orders } else { &mut self.light };
        *due = (*due).min(at);
    }

    /// A job has begun: what asks for it from now on is another matter.
    pub(crate) fn began(&mut self, job: Job) {
        if job >= Job::Cycle {
            self.wake = None;
        }
    }

    /// A job came to its end, and its answers with it.
    pub(crate) fn done(&mut self, job: Job, now: Instant) {
        (self.failures, self.not_before) = (0, None);
        // A cycle does not hold its answers against the stream: however many there are, light looks have their turn.
        if job < Job::Cycle {
            self.light = now + self.pace.light;
        }
        if job >= Job::Orders {
            self.orders = now + self.pace.orders;
        }
        if job >= Job::Cycle {
            self.cycle = now + self.pace.cycle;
            self.partial = 0;
        }
        if job == Job::DeepCycle {
            self.deep = now + self.pace.deep;
        }
    }

    /// A cycle came to its end, and a part of its questions was not answered: that part is asked for again by a cycle that reads no
    /// further back than it has to, later each time. Answers how often in a row, and when.
    pub(crate) fn done_in_part(&mut self, job: Job, now: Instant, spread: u32) -> (u32, Duration) {
        let partial = self.partial.saturating_add(1);
        self.done(job, now);
        let delay = self.backoff(partial, spread);
        self.wake(now + delay);
        // What reads far back is due in the turn of the next cycle, as long as a part of it is missing.
        if job == Job::DeepCycle {
            self.deep = now + self.pace.cycle;
        }
        self.partial = partial;
        (partial, delay)
    }

    /// Between three quarters and all of the delay behind so many failures.
    fn backoff(&self, failures: u32, spread: u32) -> Duration {
        let delay =
            self.pace.retry_first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.pace.retry_max);
        delay.saturating_sub(delay * (spread % 256) / 1024)
    }

    /// A job was not answered. `spread` is a number of chance, which keeps the attempts of many apart; `at_least` is how long
    /// the exchange forbids asking.
    pub(crate) fn failed(&mut self, job: Job, now: Instant, spread: u32, at_least: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let delay = self.backoff(self.failures, spread).max(at_least);
        self.not_before = Some(now + delay);
        match job {
            Job::Light => self.light = now,
            Job::Orders => self.orders = now,
            Job::Cycle => self.wake(now),
            Job::DeepCycle => self.deep = now,
        }
        delay
    }

    /// How often in a row nothing was answered.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule() -> (Schedule, Instant) {
        let now = Instant::now();
        (Schedule::new(Pace::default(), now), now)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_first_comes_first() {
        let (mut schedule, start) = schedule();
        assert_eq!(schedule.next(), (start, Job::DeepCycle));
        schedule.began(Job::DeepCycle);
        schedule.done(Job::DeepCycle, start);
        // A minute apart; every fifth with the lists of orders, every tenth with everything, which a light look follows.
        let mut seen = Vec::new();
        let expected = (1..=30).flat_map(|minute| match minute {
            minute if minute % 10 == 0 => vec![(minute, Job::Cycle), (minute, Job::Light)],
            minute if minute % 5 == 0 => vec![(minute, Job::Orders)],
            minute => vec![(minute, Job::Light)],
        });
        let expected: Vec<_> = expected.collect();
        for _ in &expected {
            let (at, job) = schedule.next();
            seen.push(((at - start).as_secs() / 60, job));
            schedule.began(job);
            schedule.done(job, at);
        }
        assert_eq!(seen, expected);
        let now = start + 30 * 60 * SECOND;
        schedule.wake(now + SECOND);
        schedule.wake(now + 2 * SECOND);
        assert_eq!(schedule.next(), (now + SECOND, Job::Cycle));
        // What wakes while the cycle goes on wants another one.
        schedule.began(Job::Cycle);
        schedule.wake(now + 3 * SECOND);
        schedule.done(Job::Cycle, now + 4 * SECOND);
        assert_eq!(schedule.next().1, Job::Cycle);
        schedule.began(Job::Cycle);
        schedule.done(Job::Cycle, now + 5 * SECOND);
        schedule.look_again(Job::Light, now + 6 * SECOND);
        assert_eq!(schedule.next(), (now + 6 * SECOND, Job::Light));
        schedule.look_again(Job::Orders, now + 6 * SECOND);
        assert_eq!(schedule.next(), (now + 6 * SECOND, Job::Orders), "of both the one that sees more");
    }

    #[tokio::test(start_paused = true)]
    async fn cycles_in_a_row_keep_no_light_look_waiting() {
        let (mut schedule, start) = schedule();
        let mut looks = Vec::new();
        // Somebody wakes one every half a minute.
        for half in 0..20_u32 {
            let now = start + half * 30 * SECOND;
            schedule.wake(now);
            while schedule.next().0 <= now {
                let (_, job) = schedule.next();
                schedule.began(job);
                schedule.done(job, now);
                looks.extend((job == Job::Light).then_some(half / 2));
            }
        }
        assert_eq!(looks, (1..10).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_grow_apart_and_never_end() {
        let (mut schedule, start) = schedule();
        let mut last = Duration::ZERO;
        for attempt in 0..40 {
            let delay = schedule.failed(Job::DeepCycle, start, 0, Duration::ZERO);
            assert!(delay >= last && delay <= Pace::default().retry_max, "{attempt}: {delay:?}");
            last = delay;
        }
        assert_eq!(last, Pace::default().retry_max);
        assert_eq!(schedule.next(), (start + last, Job::DeepCycle));
        // Chance makes it shorter, by a quarter at most.
        let spread = schedule.failed(Job::DeepCycle, start, 255, Duration::ZERO);
        assert!(spread < last && spread >= last * 3 / 4, "{spread:?}");
        let banned = schedule.failed(Job::DeepCycle, start, 7, 600 * SECOND);
        assert_eq!(banned, 600 * SECOND);
        schedule.wake(start);
        assert_eq!(schedule.next(), (start + 600 * SECOND, Job::DeepCycle));
        schedule.done(Job::DeepCycle, start + 600 * SECOND);
        assert_eq!(schedule.failures(), 0);
        assert_eq!(schedule.next(), (start, Job::Cycle), "the wake is still wanted, and nothing forbids it any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_never_answered_is_asked_for_ever_more_rarely() {
        let (mut schedule, start) = schedule();
        let mut now = start;
        let mut last = Duration::ZERO;
        for attempt in 1..20 {
            let (number, delay) = schedule.done_in_part(Job::DeepCycle, now, 0);
            assert!(number == attempt && delay >= last && delay <= Pace::default().retry_max);
            let (at, job) = schedule.next();
            assert_eq!((at, job), if delay < Pace::default().light { (now + delay, Job::Cycle) } else { (at, job) });
            schedule.began(Job::Cycle);
            // Light looks are answered all the time.
            schedule.done(Job::Light, now);
            (now, last) = (now + delay, delay);
        }
        assert_eq!(last, Pace::default().retry_max);
        schedule.done(Job::Cycle, now);
        assert_eq!(schedule.done_in_part(Job::Cycle, now, 0).0, 1);
    }

    #[test]
    fn intervals_stretch_so_that_all_accounts_fit() {
        let alone = Pace::default();
        assert_eq!(alone.shared(1, 960), alone);
        // 192 a minute for looks: four accounts weigh that, ten weigh 480.
        assert_eq!(alone.shared(4, 960).stretch, 1);
        let ten = alone.shared(10, 960);
        assert_eq!((ten.stretch, ten.light, ten.recheck), (3, alone.light * 3, alone.recheck));
        // However little there is, each is looked at.
        assert_eq!(alone.shared(3, 0).stretch, 3);
        assert_eq!(alone.shared(0, 960), alone);
    }
}
