//! Whether a new entry may be made: unknown never opens.
//!
//! Invariants, with their tests in `tests/gate.rs`:
//! 1. `every_open_matter_of_the_contract_holds_an_entry_back`, and none of another contract.
//! 2. `a_book_that_cannot_be_read_allows_nothing`.
//! 3. `a_look_that_failed_or_is_too_old_holds_back`, but where the exchange cannot be asked.
//! 4. `a_conflict_holds_back_where_it_is_about_what_is_held`.
//! 5. `every_reason_says_what_to_do_next`.

use std::path::{Path, PathBuf};

use exchange_client::binance_usdm::VENUE;
use ledger_core::{
    AccountId, ClientOrderId, FactKind, FreshnessLimits, OrderIntent, PositionSide, Symbol, TimestampMs,
};
use ledger_store::{
    Discrepancy, DiscrepancyFilter, DiscrepancyKey, DiscrepancyStatus, IntentFilter, PageRequest, Pages, Scope, Store,
    StoreError,
};
use serde_json::{Map, Value, json};

use super::answer::class_of;
use crate::discrepancy::DiscrepancyKind;
use crate::freshness::{LookDoubt, look_doubts};
use crate::settled_by::SettledBy;

/// Why no entry may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GateReasonKind {
    /// The book cannot be read, so nothing of the contract is known.
    BookNotReadable,
    /// The book has no such account.
    UnknownAccount,
    /// Lines wait beside the book that are not recorded yet.
    UnreplayedSpool,
    /// An order was announced, and nobody knows what became of it.
    UndecidedIntent,
    /// Book and exchange differ, or may.
    OpenDiscrepancy,
    /// Nothing is derived of the contract, or not from all of its facts.
    NotComputed,
    /// The last look at the exchange failed.
    FailedLook,
    /// The last look at the exchange was interrupted: its process died.
    InterruptedLook,
    /// The exchange was not asked recently enough what is held and ordered.
    StaleLook,
}

ledger_core::names!(GateReasonKind, "reason of the gate", {
    BookNotReadable = "book_not_readable", UnknownAccount = "unknown_account", UnreplayedSpool = "unreplayed_spool",
    UndecidedIntent = "undecided_intent", OpenDiscrepancy = "open_discrepancy", NotComputed = "not_computed", FailedLook = "failed_look",
    InterruptedLook = "interrupted_look", StaleLook = "stale_look",
});

/// One thing that holds an entry back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateReason {
    /// What kind of thing.
    pub kind: GateReasonKind,
    /// In words.
    pub text: String,
    /// What to do next, as a command where there is one.
    pub advice: String,
    /// The order that nobody heard of, if it is about one.
    pub client_order_id: Option<ClientOrderId>,
    /// When that order was written down, by the bot's clock.
    pub intent_local: Option<TimestampMs>,
    /// The number of the discrepancy, if it is about one.
    pub discrepancy: Option<i64>,
}

impl GateReason {
    fn new(kind: GateReasonKind, text: impl Into<String>, advice: impl Into<String>) -> Self {
        let (text, advice) = (text.into(), advice.into());
        Self { kind, text, advice, client_order_id: None, intent_local: None, discrepancy: None }
    }

    /// That nobody heard what became of an order.
    fn undecided(intent: &OrderIntent, venue: &str) -> Self {
        let OrderIntent { client_order_id: id, side, symbol, outcome, role, .. } = intent;
        let text = format!("{role} order {id} ({side} {symbol}): its outcome is {outcome}");
        Self {
            client_order_id: Some(id.clone()),
            intent_local: Some(intent.created_local),
            ..Self::new(GateReasonKind::UndecidedIntent, text, settles_intent(venue))
        }
    }

    /// That book and exchange differ, or may.
    fn open(discrepancy: &Discrepancy) -> Self {
        let (id, entry) = (discrepancy.id, &discrepancy.entry);
        let text = format!("discrepancy {id}, {} ({})", entry.key.kind, entry.status);
        let command = match entry.status {
            DiscrepancyStatus::Pending => "`fillbook sync` looks again",
            _ => "`fillbook discrepancies` tells what differs",
        };
        let advice = format!("{command}; it is settled by this: {}", SettledBy::of_kind(&entry.key.kind));
        Self { discrepancy: Some(id), ..Self::new(GateReasonKind::OpenDiscrepancy, text, advice) }
    }

    fn to_json(&self) -> Value {
        json!({
            "kind": self.kind.as_str(), "text": self.text, "advice": self.advice,
            "client_order_id": self.client_order_id.as_ref().map(ClientOrderId::as_str),
            "intent_local": self.intent_local.map(TimestampMs::as_ms), "discrepancy": self.discrepancy,
        })
    }
}

/// What settles an order that nobody heard of: the exchange knows, and of a venue that fillbook cannot ask the bot has to.
pub fn settles_intent(venue: &str) -> &'static str {
    if venue == VENUE.name {
        "`fillbook sync` settles it"
    } else {
        "ask the exchange for it, and tell `fillbook record` in a line `sent`"
    }
}

/// Whether a new entry of a contract may be made, and if not why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gate {
    /// What holds it back; empty where it may be made.
    pub reasons: Vec<GateReason>,
}

impl Gate {
    /// Whether an entry may be made.
    pub fn is_allowed(&self) -> bool {
        self.reasons.is_empty()
    }

    /// As answers show it.
    pub fn to_json(&self) -> Map<String, Value> {
        let reasons = self.reasons.iter().map(GateReason::to_json);
        let mut object = Map::new();
        object.insert("allowed".to_owned(), self.is_allowed().into());
        object.insert("reasons".to_owned(), reasons.collect());
        object
    }

    /// Whether it says no more than that the book cannot be asked.
    pub fn is_unreadable(&self) -> bool {
        use GateReasonKind::{BookNotReadable, UnknownAccount};
        self.reasons.iter().any(|reason| matches!(reason.kind, BookNotReadable | UnknownAccount))
    }

    /// What a book allows an account that it does not have: nothing.
    pub fn unknown_account(account: &AccountId) -> Self {
        Self::unreadable(&StoreError::UnknownAccount { account: account.clone() })
    }

    /// What a book allows that could not be read: nothing.
    pub fn unreadable(error: &StoreError) -> Self {
        let kind = match error {
            StoreError::UnknownAccount { .. } => GateReasonKind::UnknownAccount,
            _ => GateReasonKind::BookNotReadable,
        };
        let text = format!("the book cannot be asked ({}): {error}", class_of(error));
        let advice = match kind {
            GateReasonKind::UnknownAccount => "`--account` with one that the book has: `fillbook status` tells which",
            _ => "`fillbook status` tells why, and what to do",
        };
        Self { reasons: vec![GateReason::new(kind, text, advice)] }
    }
}

/// How many of the discrepancies and intents of a contract are named.
const NAMED_MAX: u32 = 100;

/// By what a gate judges, beside the book.
#[derive(Debug, Clone, Copy)]
pub struct GateTerms<'a> {
    /// The file in which lines wait that could not be recorded.
    pub spool: Option<&'a Path>,
    /// How recently the exchange has to have been looked at.
    pub freshness: FreshnessLimits,
    /// Now, by the local clock.
    pub now: TimestampMs,
}

/// Whether a new entry of `symbol` may be made, by what is on record and how recently the exchange was asked.
/// `position_side` narrows that to one side of a hedge. That the book cannot be read is an answer, too.
pub async fn gate(
    store: &dyn Store,
    account: &AccountId,
    symbol: &Symbol,
    position_side: Option<PositionSide>,
    terms: GateTerms<'_>,
) -> Gate {
    match reasons(store, account, symbol, position_side, terms).await {
        Ok(mut reasons) => {
            reasons.extend(terms.spool.and_then(waiting));
            reasons.sort_by_key(|reason| reason.kind);
            Gate { reasons }
        }
        Err(error) => Gate::unreadable(&error),
    }
}

/// The file beside a book in which lines wait that could not be recorded.
pub fn spool_of(db: &Path) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(".spool");
    PathBuf::from(name)
}

/// Whether lines wait in a file. One that cannot be looked at may hold some.
fn waiting(spool: &Path) -> Option<GateReason> {
    let text = match std::fs::metadata(spool) {
        Ok(found) if found.len() == 0 => return None,
        Ok(found) => format!("{} bytes of events wait in {} and are not recorded", found.len(), spool.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => format!("{} cannot be looked at: {error}", spool.display()),
    };
    let advice = "start what wrote them again, for it gives them to `fillbook record` (a Python bot's Book does)";
    Some(GateReason::new(GateReasonKind::UnreplayedSpool, ledger_core::printable(&text), advice))
}

async fn reasons(
    store: &dyn Store,
    account: &AccountId,
    symbol: &Symbol,
    position_side: Option<PositionSide>,
    terms: GateTerms<'_>,
) -> Result<Vec<GateReason>, StoreError> {
    let Some(known) = store.account(account).await? else {
        return Err(StoreError::UnknownAccount { account: account.clone() });
    };
    let mut reasons = Vec::new();
    let scope = Scope::symbol(account.clone(), symbol.clone());
    let unresolved = IntentFilter { unresolved_only: true, ..scope.into() };
    // A long and a short of a hedge are two keys; what names neither may be of both.
    let is_of_key = |other: Option<PositionSide>| match (position_side, other) {
        (Some(PositionSide::Long), Some(other)) => other != PositionSide::Short,
        (Some(PositionSide::Short), Some(other)) => other != PositionSide::Long,
        _ => true,
    };
    let mut pages = Pages::of(PageRequest::newest(NAMED_MAX), |page| store.intents(&unresolved, page));
    while reasons.is_empty()
        && let Some(found) = pages.next().await?
    {
        let intents = found.items.into_iter().map(|intent| intent.fact);
        for intent in intents.filter(|intent| is_of_key(intent.position_side)) {
            reasons.push(GateReason::undecided(&intent, &known.venue));
        }
    }
    let open = DiscrepancyFilter { symbol: Some(symbol.clone()), ..DiscrepancyFilter::open(account.clone()) };
    let mut pages = Pages::of(PageRequest::newest(NAMED_MAX), |page| store.discrepancies(&open, page));
    while let Some(found) = pages.next().await? {
        for discrepancy in found.items {
            if holds_back(&discrepancy.entry.key) {
                reasons.push(GateReason::open(&discrepancy));
            }
        }
    }
    let quarantined = store.quarantined(account).await?.into_iter().find(|entry| entry.symbol == *symbol);
    let pending = store.pending_refolds().await?.into_iter().find(|it| it.account == *account && it.symbol == *symbol);
    let why = match (quarantined, pending) {
        (Some(entry), _) => {
            let text = format!("its position cannot be computed: {}", entry.reason);
            Some((text, "`fillbook status` tells what is missing"))
        }
        (None, Some(_)) => {
            let text = "its position is not computed from all facts yet".to_owned();
            Some((text, "ask again when the command that records is done; `fillbook rebuild` if there is none"))
        }
        (None, None) => None,
    };
    reasons.extend(why.map(|(text, advice)| GateReason::new(GateReasonKind::NotComputed, text, advice)));
    let doubts = look_doubts(store, &known, symbol, terms.freshness, terms.now).await?;
    reasons.extend(doubts.into_iter().map(of_look));
    Ok(reasons)
}

fn of_look(doubt: LookDoubt) -> GateReason {
    let (kind, text) = match doubt {
        LookDoubt::Failed(why) => (GateReasonKind::FailedLook, format!("the last look at the exchange: {why}")),
        LookDoubt::Abandoned => {
            let text = "the last look at the exchange was interrupted: its process died".to_owned();
            (GateReasonKind::InterruptedLook, text)
        }
        LookDoubt::Due(what) => (GateReasonKind::StaleLook, what),
        LookDoubt::NotSeen(why) => (GateReasonKind::StaleLook, why.to_owned()),
    };
    let advice = match kind {
        GateReasonKind::FailedLook => "`fillbook sync` once that is mended",
        GateReasonKind::InterruptedLook => "`fillbook sync` goes on",
        _ => "`fillbook sync` asks again",
    };
    GateReason::new(kind, ledger_core::printable(&text), advice)
}

/// Whether a discrepancy of this kind says that orders, fills or the position of its contract may be others than the book's.
/// Labels, notices of what the exchange or a person did, and amounts of the ledger change nothing about what is held. A kind
/// that is not known here may say anything.
fn holds_back(key: &DiscrepancyKey) -> bool {
    use DiscrepancyKind as Kind;
    if key.kind == CONFLICTING_FACT {
        return is_about_what_is_held(&key.fingerprint);
    }
    let known = Kind::ALL.iter().find(|known| known.as_str() == key.kind);
    !matches!(
        known,
        Some(
            Kind::Liquidation
                | Kind::Adl
                | Kind::Settlement
                | Kind::ForeignFills
                | Kind::LedgerCut
                | Kind::HistoryExpiring
                | Kind::ClockSkew
                | Kind::SignalWithoutOrder
                | Kind::AmbiguousSignal
                | Kind::MissingLabel
                | Kind::UnexplainedClose
                | Kind::MissingIncome
                | Kind::MissingFunding
                | Kind::FundingMismatch
                | Kind::UnexplainedBalance
                | Kind::FootingMismatch
        )
    )
}

/// The kind under which the book records that sources disagree about a field of a fact.
const CONFLICTING_FACT: &str = "conflicting_fact";

/// Whether sources disagree about something that says what is held or ordered. Prices, rates, amounts of the ledger and of
/// fees, wallets, and who decided what say nothing of it. `fingerprint` is `kind|field|fact`; what cannot be read in it may be
/// anything.
fn is_about_what_is_held(fingerprint: &str) -> bool {
    let mut parts = fingerprint.split('|');
    let (Some(Ok(kind)), Some(field)) = (parts.next().map(str::parse::<FactKind>), parts.next()) else { return true };
    match kind {
        FactKind::Price | FactKind::FundingRate | FactKind::Income | FactKind::Balance | FactKind::Signal => false,
        FactKind::Cancel => !matches!(field, "ts" | "reason"),
        FactKind::Fill => !matches!(field, "fee" | "maker" | "exchange_realized_pnl"),
        FactKind::Order => !matches!(field, "fees" | "engine" | "signal_id" | "exit_reason"),
        FactKind::Intent => !matches!(field, "engine" | "signal_id"),
        FactKind::Position => field != "entry_price",
        FactKind::Instrument | FactKind::Anchor | FactKind::PositionMode => true,
    }
}
