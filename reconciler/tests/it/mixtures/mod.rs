//! An exchange that lies in two answers of five, in whichever way: nothing false is concluded from one answer alone, nothing
//! false is recorded as a fact, and once it speaks the truth again nothing is left of its lies.
//!
//! One thing it does not do: tell the same falsehood to the same question twice in a row. Two answers that agree are believed,
//! and nothing tells them from the truth.

mod another;
mod facts;
mod witnesses;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exchange_client::simulator::{AppOrder, Simulator, SimulatorAccount, SimulatorConfig, TEST_API_SECRET};
use exchange_client::{ErrorClass, ExchangeReader, Request, Response, Transport, TransportError};
use ledger_core::{PositionSide, Side, Symbol};
use ledger_store::{Discrepancy, DiscrepancyFilter, DiscrepancyStatus, Journal, PageRequest};
use reconciler::{CycleReport, DiscrepancyKind, ReconcileError};
use serde_json::Value;

use self::facts::{Truths, false_facts, misstated};
use self::witnesses::{Answered, Witness, unwitnessed};
use crate::lies::Lie;
use crate::support::{Fixture, START_MS, for_months};

const SEEDS: u64 = 20;
const LYING_LOOKS: usize = 5;
/// One honest look reads what is missing, the next one says the same of what rests on absence or on a number, and the third
/// has nothing left to wait for.
const HONEST_LOOKS: usize = 3;
const OTHER: &str = "other";
const OTHERS_KEY: &str = "key-of-another-account";

/// The whole range of falsehoods. Each is as likely as the others.
const FALSEHOODS: [Falsehood; 14] = [
    Falsehood::Of(Lie::Empty),
    Falsehood::Of(Lie::FirstMissing),
    Falsehood::Of(Lie::MiddleMissing),
    Falsehood::Of(Lie::LastMissing),
    Falsehood::Of(Lie::Torn),
    Falsehood::Of(Lie::Doubled),
    Falsehood::Earlier,
    Falsehood::AnothersAnswer,
    Falsehood::AnotherTime,
    Falsehood::Of(Lie::Lost),
    Falsehood::Throttled(429, "15"),
    Falsehood::Throttled(418, "120"),
    Falsehood::Of(Lie::Status(503)),
    Falsehood::Of(Lie::Html),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Falsehood {
    Of(Lie),
    /// An earlier answer to the same question.
    Earlier,
    /// What another account would have been answered.
    AnothersAnswer,
    /// To what time it is: half a year more or less. To anything else the truth.
    AnotherTime,
    /// A status, and when to come back.
    Throttled(u16, &'static str),
}

/// A sequence of numbers that a seed decides.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}

struct State {
    chance: Chance,
    is_lying: bool,
    answered: HashMap<String, Vec<Response>>,
    told: HashMap<String, Bytes>,
    count: BTreeMap<String, usize>,
    /// What was answered since somebody asked for it.
    answers: Vec<Answered>,
}

/// The way to an exchange that lies.
struct Mixture {
    inner: Arc<dyn Transport>,
    state: Mutex<State>,
}

/// The lists that name no account, of rows that are facts.
const NAMELESS: [&str; 8] = [
    "/fapi/v1/income",
    "/fapi/v1/userTrades",
    "/fapi/v1/allOrders",
    "/fapi/v1/forceOrders",
    "/fapi/v1/allAlgoOrders",
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
    "/fapi/v1/order",
];

/// What a request asks, but for when.
fn question(request: &Request) -> String {
    let of_time = ["timestamp=", "signature=", "recvWindow=", "startTime=", "endTime="];
    let asked = request.query.split('&').filter(|part| !of_time.iter().any(|name| part.starts_with(name)));
    format!("{}?{}", request.path, asked.collect::<Vec<_>>().join("&"))
}

impl Mixture {
    fn before(inner: Arc<dyn Transport>, seed: u64) -> Arc<Self> {
        let state = State {
            chance: Chance(seed),
            is_lying: false,
            answered: HashMap::new(),
            told: HashMap::new(),
            count: BTreeMap::new(),
            answers: Vec::new(),
        };
        Arc::new(Self { inner, state: Mutex::new(state) })
    }

    fn lie(&self, is_lying: bool) {
        self.state.lock().unwrap().is_lying = is_lying;
    }

    /// What was answered since this was asked last.
    fn answers(&self) -> Vec<Answered> {
        std::mem::take(&mut self.state.lock().unwrap().answers)
    }

    /// The falsehood that is told now, if one is.
    fn drawn(&self) -> Option<Falsehood> {
        let mut state = self.state.lock().unwrap();
        (state.is_lying && state.chance.below(5) < 2).then(|| FALSEHOODS[state.chance.below(FALSEHOODS.len())])
    }

    async fn answer(&self, request: &Request) -> Result<Response, TransportError> {
        let truth = self.inner.send(request.clone()).await?;
        let falsehood = self.drawn();
        let answer = match falsehood {
            Some(falsehood) => self.falsified(falsehood, request, &truth).await,
            None => Some(truth.clone()),
        };
        let mut state = self.state.lock().unwrap();
        let question = question(request);
        state.answered.entry(question.clone()).or_default().push(truth.clone());
        let Some(answer) = answer else {
            if falsehood != Some(Falsehood::Of(Lie::Lost)) {
                return Ok(truth);
            }
            *state.count.entry(format!("{:?}", falsehood.unwrap())).or_default() += 1;
            return Err(TransportError::Lost("timed out".into()));
        };
        if answer.body == truth.body && answer.status == truth.status {
            state.told.remove(&question);
            return Ok(truth);
        }
        // The same falsehood twice in a row is the truth to whoever asks.
        if answer.status == 200 && state.told.get(&question) == Some(&answer.body) {
            state.told.remove(&question);
            return Ok(truth);
        }
        state.told.insert(question, answer.body.clone());
        *state.count.entry(format!("{:?}", falsehood.unwrap())).or_default() += 1;
        Ok(answer)
    }

    async fn falsified(&self, falsehood: Falsehood, request: &Request, truth: &Response) -> Option<Response> {
        match falsehood {
            Falsehood::Of(lie) => lie.told(truth, truth),
            Falsehood::Earlier => {
                let mut state = self.state.lock().unwrap();
                let earlier = state.answered.get(&question(request)).map_or(0, Vec::len);
                let at = if earlier == 0 { return Some(truth.clone()) } else { state.chance.below(earlier) };
                state.answered[&question(request)].get(at).cloned()
            }
            Falsehood::AnothersAnswer => {
                let mut another = request.clone();
                let key = another.headers.iter_mut().find(|(name, _)| *name == "x-mbx-apikey");
                let Some((_, key)) = key.filter(|_| !NAMELESS.contains(&request.path.as_str())) else {
                    return Some(truth.clone());
                };
                *key = OTHERS_KEY.into();
                self.inner.send(another).await.ok()
            }
            Falsehood::AnotherTime => {
                let mut told: Value = serde_json::from_slice(&truth.body).ok()?;
                let now = told.get("serverTime").and_then(Value::as_i64).filter(|_| request.path == "/fapi/v1/time");
                let Some(now) = now else { return Some(truth.clone()) };
                let sign = if self.state.lock().unwrap().chance.below(2) == 0 { 1 } else { -1 };
                told["serverTime"] = (now + sign * 180 * 86_400_000).into();
                Some(Response { body: told.to_string().into(), ..truth.clone() })
            }
            Falsehood::Throttled(status, seconds) => {
                let headers = vec![("retry-after".to_owned(), seconds.to_owned())];
                Some(Response { status, headers, body: "{}".into() })
            }
        }
    }
}

struct Through(Arc<Mixture>);

#[async_trait]
impl Transport for Through {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let answer = self.0.answer(&request).await?;
        self.0.state.lock().unwrap().answers.push(Answered::new(&request, &answer));
        Ok(answer)
    }
}

/// An exchange with two accounts, both of which have traded.
async fn world(seed: u64) -> Fixture {
    let another = SimulatorAccount {
        api_key: OTHERS_KEY.into(),
        api_secret: TEST_API_SECRET.into(),
        hedge_mode: true,
        ..SimulatorAccount::named(OTHER)
    };
    let accounts = vec![SimulatorAccount::standard(), another];
    let fixture = Fixture::in_process(SimulatorConfig { accounts, ..for_months(seed) }).await;
    let simulator = &fixture.simulator;
    for (name, side, qty) in [
        ("BTCUSDT", Side::Buy, "0.05"),
        ("ETHUSDT", Side::Sell, "1.5"),
        ("BTCUSDT", Side::Sell, "0.1"),
        ("SOLUSDT", Side::Buy, "9"),
        ("ETHUSDT", Side::Buy, "1.5"),
        ("ETHUSDC", Side::Buy, "0.4"),
    ] {
        trade(simulator, "sim-main", name, (side, PositionSide::Net), qty);
        trade(simulator, OTHER, name, (Side::Buy, PositionSide::Long), qty);
        // Some of it lies further back than a look at the present reaches.
        simulator.step(Duration::from_hours(30));
    }
    fixture
}

fn trade(simulator: &Simulator, alias: &str, name: &str, (side, position_side): (Side, PositionSide), qty: &str) {
    let wish = AppOrder {
        prefix: "web_",
        symbol: Symbol::new(name).unwrap(),
        side,
        position_side,
        qty: qty.parse().unwrap(),
        price: None,
        reduce_only: false,
    };
    simulator.trade_from_app(alias, &wish).unwrap();
}

async fn standing(book: &Fixture) -> Vec<Discrepancy> {
    let filter = DiscrepancyFilter::open(book.account.clone());
    book.store.discrepancies(&filter, PageRequest::first(1_000)).await.unwrap().items
}

const POSITIONS: [DiscrepancyKind; 3] =
    [DiscrepancyKind::UnrecordedPosition, DiscrepancyKind::UnrecordedClose, DiscrepancyKind::PositionMismatch];

/// What was concluded from one answer alone: it is confirmed, and no earlier look has doubted it. A question that failed did.
fn hasty(standing: &[Discrepancy], doubted: &BTreeSet<(String, String)>) -> Vec<String> {
    let confirmed = standing.iter().filter(|known| known.entry.status == DiscrepancyStatus::Unresolved);
    let confirmed = confirmed.filter(|known| known.entry.key.kind != DiscrepancyKind::QueryFailed.as_str());
    let hasty = confirmed.filter(|known| {
        let key = &known.entry.key;
        let was = |kind: DiscrepancyKind, about: &str| doubted.contains(&(kind.to_string(), about.to_owned()));
        let is_of = |kind: DiscrepancyKind| key.kind == kind.as_str();
        // A wallet that does not foot was a balance that nothing explained before.
        let asset = key.fingerprint.split('/').next().unwrap_or_default();
        let was_balance = is_of(DiscrepancyKind::FootingMismatch) && was(DiscrepancyKind::UnexplainedBalance, asset);
        // A position that differs may be told as another kind of it, once the book holds something or nothing.
        let was_position =
            POSITIONS.iter().any(|kind| is_of(*kind)) && POSITIONS.iter().any(|kind| was(*kind, &key.fingerprint));
        let was_itself = doubted.contains(&(key.kind.clone(), key.fingerprint.clone()));
        !(was_itself || was_balance || was_position)
    });
    hasty.map(|known| format!("{} {}", known.entry.key.kind, known.entry.evidence_json)).collect()
}

/// A sync through the liar.
async fn look(book: &Fixture, mixture: &Arc<Mixture>) -> Result<CycleReport, ReconcileError> {
    let exchange: Arc<dyn ExchangeReader> = Arc::new(book.adapter_over(Through(Arc::clone(mixture))));
    book.reconciler_by_type(exchange, 15).sync().await
}

/// What is wrong with how a look ended.
fn misjudged(ended: &Result<CycleReport, ReconcileError>, answers: &[Answered]) -> Option<String> {
    match ended {
        Ok(report) => {
            let classes = report.failed.iter().map(|failed| failed.class);
            classes.filter(|class| !may_fail(*class)).map(|class| format!("{class:?}")).next()
        }
        Err(ReconcileError::Exchange(error)) if may_fail(error.class()) => None,
        Err(ReconcileError::Contradiction { .. } | ReconcileError::ClockContradiction { .. }) => None,
        // Two answers named the other account, and none this one.
        Err(ReconcileError::WrongAccount { .. })
            if answers.iter().filter(|answer| answer.names(OTHER)).count() > 1
                && !answers.iter().any(|answer| answer.names("sim-main")) =>
        {
            None
        }
        Err(other) => Some(format!("{other:?}")),
    }
}

fn may_fail(class: ErrorClass) -> bool {
    use ErrorClass as Class;
    // What was signed by a clock that an old answer set back is refused.
    matches!(
        class,
        Class::Unavailable
            | Class::Throttled
            | Class::Malformed
            | Class::AnotherAccount
            | Class::Clock
            | Class::Incomplete
    )
}

/// What is wrong after one exchange's lies, and how many were told.
async fn lied_to(seed: u64) -> (Vec<String>, BTreeMap<String, usize>) {
    let fixture = world(seed).await;
    let (book, honest) = (fixture.with_book_in_memory().await, fixture.with_book_in_memory().await);
    let mixture = Mixture::before(Arc::clone(&fixture.transport), seed);
    let mut chance = Chance(!seed);
    let (mut wrong, mut truths, mut doubted) = (Vec::new(), Truths::new(), BTreeSet::new());
    let (mut witnesses, mut mistakes) = (Vec::new(), BTreeSet::new());
    truths.insert(START_MS, fixture.simulator.books().accounts.remove(0));
    let names = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ETHUSDC"];
    // Half of them begin with a book that knows the account.
    if seed.is_multiple_of(2) {
        look(&book, &mixture).await.unwrap();
        witnesses.push(Witness::of(&book, mixture.answers()).await);
    }
    for round in 0..LYING_LOOKS + HONEST_LOOKS {
        mixture.lie(round < LYING_LOOKS);
        fixture.simulator.step(Duration::from_mins(6 + 50 * u64::try_from(chance.below(4)).unwrap()));
        if round < LYING_LOOKS {
            for _ in 0..chance.below(3) {
                let (name, side) = (names[chance.below(names.len())], [Side::Buy, Side::Sell][chance.below(2)]);
                trade(&fixture.simulator, "sim-main", name, (side, PositionSide::Net), "0.4");
            }
            trade(&fixture.simulator, OTHER, "BTCUSDT", (Side::Buy, PositionSide::Long), "0.01");
            fixture.simulator.step(Duration::from_mins(1));
        }
        let at_ms = fixture.clock_at(0).as_ms();
        truths.insert(at_ms, fixture.simulator.books().accounts.remove(0));
        let ended = look(&book, &mixture).await;
        let answers = mixture.answers();
        wrong.extend(misjudged(&ended, &answers).map(|how| format!("look {round} ended as {how}")));
        wrong.extend(false_facts(&book).await.into_iter().map(|fact| format!("after look {round}: {fact}")));
        let known = standing(&book).await;
        witnesses.push(Witness::of(&book, answers).await);
        let misstated = misstated(&book, &truths).await;
        for told in misstated.difference(&mistakes) {
            let agreeing = witnesses.last().unwrap().agree_falsely(told);
            if agreeing < 2 {
                wrong.push(format!("after look {round}, on the word of {agreeing}: {told:?}"));
            }
        }
        mistakes.extend(misstated);
        let alone = unwitnessed(&known, &witnesses).into_iter();
        wrong.extend(alone.map(|found| format!("after look {round}, by fewer than two answers: {found}")));
        let hasty = hasty(&known, &doubted).into_iter();
        wrong.extend(hasty.map(|found| format!("after look {round}, hasty: {found}")));
        let keys = known.into_iter().map(|known| known.entry.key);
        doubted.extend(keys.map(|key| (key.kind, key.fingerprint)));
        if round < LYING_LOOKS {
            if wrong.is_empty() {
                continue;
            }
            break;
        }
        let truth = honest.reconciler().sync().await.unwrap();
        if round + 1 == LYING_LOOKS + HONEST_LOOKS {
            let last = ended.unwrap();
            let left = |report: &CycleReport| {
                let left = report.left.iter().map(|left| format!("{} {}", left.entry.key.kind, left.entry.status));
                let failed = report.verification.checks.iter().filter(|check| check.failed());
                left.chain(failed.map(|check| check.detail.clone())).collect::<BTreeSet<_>>()
            };
            let (of_lies, of_truth) = (left(&last), left(&truth));
            wrong.extend(of_lies.difference(&of_truth).map(|left| format!("of the lies there is left: {left}")));
            wrong.extend(of_truth.difference(&of_lies).map(|left| format!("only an honest book has: {left}")));
            if last.leaves_discrepancies() != truth.leaves_discrepancies() {
                wrong.push("the outcome is another".to_owned());
            }
        }
        if !wrong.is_empty() {
            break;
        }
    }
    if wrong.is_empty() {
        book.assert_book_equals_exchange().await;
    }
    let count = std::mem::take(&mut mixture.state.lock().unwrap().count);
    (wrong, count)
}

/// Which exchanges are tried: a few by default, more where somebody has the time, one to find out more about it.
#[expect(clippy::disallowed_methods, reason = "a long campaign asks for more than the suite has time for")]
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|count| count.parse().ok());
    match number("FILLBOOK_MIXTURE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FILLBOOK_MIXTURE_SEEDS").unwrap_or(SEEDS),
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_mixed_lies() {
    let (mut failed, mut told) = (Vec::new(), BTreeMap::<String, usize>::new());
    for seed in seeds() {
        let (wrong, count) = lied_to(seed).await;
        if !wrong.is_empty() {
            failed.push(format!("seed {seed}:\n  {}", wrong.join("\n  ")));
        }
        for (falsehood, number) in count {
            *told.entry(falsehood).or_default() += number;
        }
    }
    println!("told: {told:?}");
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(seeds().count() == 1 || told.len() == FALSEHOODS.len(), "not every kind of falsehood was told: {told:?}");
}
