//! The book as an executor uses it: what was sent before, whether an entry may be made, and writing down what happens. No
//! other file of this module knows how a book is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use exchange_client::{AccountIdentity, SendOutcome, Stated, VenueFacts, WalletEffect};
use ledger_core::{
    AnyFact, BalanceSnapshot, ClientOrderId, Direction, ExitReason, FreshnessLimits, IntentOutcome, IntentRole, Label,
    LedgerPlace, LookStream, Order, OrderClass, OrderIntent, Outcome, PositionSide, Price, Quantity, RoundTrip, Source,
    Statement, Symbol, TimestampMs,
};
use ledger_store::{IncomeFilter, IntentFilter, OrderFilter, PageRequest, Scope, Store, StoreError};

use super::outcome::BalanceRemark;
use super::request::Aim;
use super::wallet::{Moved, WalletBasis};
use crate::error::{Doing, ReconcileError};
use crate::record::closing::Closing;
use crate::record::order_id::{Purpose, derive};
use crate::record::{ClosedTrade, Gate, GateTerms, Recorder, TradeEnd, gate};

/// How many of each kind of rows are looked through for what moved the wallets.
const MOVED_ROWS_MAX: u32 = 1_000;

/// The terms of an order, beside what it is for.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) position_side: PositionSide,
    /// How much; `None` for whatever the position is.
    pub(super) qty: Option<Quantity>,
    pub(super) price: Option<Price>,
    /// What a stop waits for; `None` for an order that waits for nothing.
    pub(super) trigger: Option<Price>,
    pub(super) reduce_only: bool,
}

/// The book of one account.
#[derive(Clone)]
pub(super) struct Desk {
    recorder: Recorder,
    spool: Option<PathBuf>,
    freshness: FreshnessLimits,
}

impl Desk {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder, spool: None, freshness: FreshnessLimits::default() }
    }

    fn book(&self) -> &dyn Store {
        self.recorder.book()
    }

    pub(super) fn set_spool(&mut self, spool: PathBuf) {
        self.spool = Some(spool);
    }

    pub(super) fn set_freshness(&mut self, limits: FreshnessLimits) {
        self.freshness = limits;
    }

    pub(super) fn now(&self) -> TimestampMs {
        self.recorder.clock().now()
    }

    /// The id of an attempt. `within` tells attempts apart that could not be looked up.
    pub(super) fn id_of(&self, aim: &Aim<'_>, attempt: u32, within: Option<TimestampMs>) -> Option<ClientOrderId> {
        let named = within.map(|at| format!("{} {}", aim.cause.as_str(), at.as_ms()));
        let purpose = Purpose {
            account: self.recorder.account(),
            trade: named.as_deref().unwrap_or(aim.cause.as_str()),
            engine: aim.engine,
            role: aim.role,
            step: aim.step,
            attempt,
        };
        derive(std::slice::from_ref(self.recorder.scheme()), &purpose)
    }

    /// The intent of an attempt, pending.
    pub(super) fn intent_of(&self, aim: &Aim<'_>, id: ClientOrderId, attempt: u32, terms: &Terms) -> OrderIntent {
        OrderIntent {
            client_order_id: id,
            symbol: aim.symbol.clone(),
            class: if terms.trigger.is_some() { OrderClass::Conditional } else { OrderClass::Regular },
            side: aim.side,
            position_side: Some(terms.position_side),
            role: aim.role,
            dca_step: if aim.role == IntentRole::Dca { aim.step } else { 0 },
            attempt,
            order_type: match terms {
                Terms { trigger: Some(_), .. } => Label::stop_market(),
                Terms { price: Some(_), .. } => Label::limit(),
                Terms { .. } => Label::market(),
            },
            qty: terms.qty,
            price: terms.price,
            trigger_price: terms.trigger,
            reduce_only: terms.reduce_only,
            signal_id: aim.cause.signal_id(),
            engine: aim.engine.cloned(),
            created_local: self.now(),
            outcome: IntentOutcome::Pending,
        }
    }

    /// An intent on record.
    pub(super) async fn intent(&self, id: &ClientOrderId) -> Result<Option<OrderIntent>, ReconcileError> {
        let known = self.book().intent(self.recorder.account(), id).await.doing("looking for an intent")?;
        Ok(known.map(|known| known.fact))
    }

    /// The regular order on record that was sent with this id.
    pub(super) async fn order_sent_as(
        &self,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<Option<Order>, ReconcileError> {
        let scope = Scope::symbol(self.recorder.account().clone(), symbol.clone());
        let class = Some(OrderClass::Regular);
        let filter = OrderFilter { client_order_id: Some(id.clone()), class, ..scope.into() };
        let page = self.book().orders(&filter, PageRequest::newest(1)).await.doing("looking for an order")?;
        Ok(page.items.into_iter().next().map(|order| order.order.fact))
    }

    /// Whether an entry may be made.
    pub(super) async fn gate(&self, symbol: &Symbol, position_side: PositionSide) -> Gate {
        let narrowed = Some(position_side).filter(|side| *side != PositionSide::Net);
        let terms = GateTerms { spool: self.spool.as_deref(), freshness: self.freshness, now: self.now() };
        gate(self.book(), self.recorder.account(), symbol, narrowed, terms).await
    }

    /// Writes an order down before it is sent. Whether it is this call that did: whoever finds it written may not send it.
    pub(super) async fn announce(&self, intent: &OrderIntent) -> Result<bool, ReconcileError> {
        Ok(self.recorder.intent(intent.clone()).await? == Outcome::Recorded)
    }

    /// What became of an order that was sent, as it is written down.
    pub(super) fn answer(intent: &OrderIntent, outcome: &SendOutcome<Stated<Order>>) -> Vec<Statement> {
        Recorder::answer_of(intent, outcome)
    }

    pub(super) async fn record(&self, statements: Vec<Statement>) -> Result<(), ReconcileError> {
        self.recorder.record(statements).await.map(drop)
    }

    /// Writes down what became of an order that was sent.
    pub(super) async fn answered(
        &self,
        intent: &OrderIntent,
        outcome: &SendOutcome<Stated<Order>>,
    ) -> Result<(), ReconcileError> {
        self.record(Self::answer(intent, outcome)).await
    }

    /// Writes down that an order turned up of which nobody knew what had become.
    pub(super) async fn found(&self, intent: &OrderIntent, order: &Stated<Order>) -> Result<(), ReconcileError> {
        self.answered(intent, &SendOutcome::Done(order.clone())).await
    }

    /// Writes down what followed an order, in one transaction, with all that is derived of it.
    pub(super) async fn followed(
        &self,
        order: &Order,
        mut statements: Vec<Statement>,
        reason: Option<ExitReason>,
    ) -> Result<(), ReconcileError> {
        statements.extend(reason.map(|reason| {
            let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
            labelled.exit_reason = Some(reason);
            Statement { fact: AnyFact::Order(labelled), source: Source::Bot, payload: None }
        }));
        if statements.is_empty() {
            return Ok(());
        }
        self.recorder.record(statements).await.map(drop)
    }

    /// Writes down an order that was cancelled, or its state where it was over already.
    pub(super) async fn cancelled(
        &self,
        order: &Stated<Order>,
        is_cancelled: bool,
        reason: Option<Label>,
    ) -> Result<(), ReconcileError> {
        if is_cancelled {
            return self.recorder.cancel(order, reason).await.map(drop);
        }
        self.recorder.record(vec![order.statement()]).await.map(drop)
    }

    /// Whether an order was sent by this account's bots: its id is of their wording, or on record as one that was to be sent.
    pub(super) async fn is_own(&self, order: &Order, patience: Duration) -> bool {
        let Some(id) = &order.client_order_id else { return false };
        let schemes = crate::record::client_id::ClientIdScheme::own();
        if schemes.iter().chain([self.recorder.scheme()]).any(|scheme| scheme.read(id).is_some()) {
            return true;
        }
        matches!(tokio::time::timeout(patience, self.intent(id)).await, Ok(Ok(Some(_))))
    }

    /// The round trip that a close ended, as far as the book has its fills.
    pub(super) async fn trip_of(
        &self,
        symbol: &Symbol,
        direction: Direction,
    ) -> Result<Option<Box<RoundTrip>>, ReconcileError> {
        let trade = ClosedTrade {
            symbol: symbol.clone(),
            direction: Some(direction),
            reason: None,
            engine: None,
            order_id: None,
            time: None,
        };
        let closing = Closing { store: self.book(), account: self.recorder.account() };
        Ok(match Box::pin(closing.end(&trade, None)).await? {
            TradeEnd::Trip(trip) => Some(trip),
            TradeEnd::StillOpen | TradeEnd::NotOnRecord | TradeEnd::Unclear(_) => None,
        })
    }

    /// What is on record of the account's wallets, and by what they moved since: by fills, and by entries of the ledger that
    /// are no fill's.
    pub(super) async fn wallet_basis(
        &self,
        venue: &VenueFacts,
    ) -> Result<Result<WalletBasis, BalanceRemark>, ReconcileError> {
        let (book, account) = (self.book(), self.recorder.account());
        let known = book.account(account).await.doing("looking for the account")?;
        let identity = known.and_then(|known| {
            let bound = known.identity?;
            Some(AccountIdentity { venue: known.venue, base_url: bound.base_url, account_alias: bound.alias? })
        });
        let scope = Scope::account(account.clone());
        let newest = PageRequest::newest(MOVED_ROWS_MAX);
        let mut wallets = BTreeMap::new();
        for balance in book.balance_snapshots(&scope, newest).await.doing("reading the balances")?.items {
            wallets.entry(balance.fact.asset.clone()).or_insert(balance.fact);
        }
        // What the last look found as it is on record was stated then. Of a wallet that it doubted, or did not find at all, the
        // last word on record is none to start from.
        let looks = book.looks(account).await.doing("reading the looks")?;
        let mut looks = looks.into_iter().filter(|look| look.stream == LookStream::Balances);
        if let Some(look) = looks.find_map(|look| look.success) {
            for (asset, seen) in look.seen.wallets {
                if let Some(known) = wallets.get_mut(&asset).filter(|known| known.at < seen.ts) {
                    *known = BalanceSnapshot { asset, at: seen.ts, wallet: seen.wallet };
                }
            }
            wallets.retain(|_, known| known.at >= look.seen_at);
        } else {
            wallets.clear();
        }
        let (Some(identity), Some(since)) = (identity, wallets.values().map(|wallet| wallet.at).min()) else {
            return Ok(Err(BalanceRemark::NoneOnRecord));
        };
        let missing = OrderFilter { residual_only: true, ..scope.clone().into() };
        if !book.orders(&missing, PageRequest::first(1)).await.doing("reading the orders")?.items.is_empty() {
            return Ok(Err(BalanceRemark::FillsMissing));
        }
        let sent = IntentFilter { unresolved_only: true, ..scope.clone().into() };
        if !book.intents(&sent, PageRequest::first(1)).await.doing("reading the intents")?.items.is_empty() {
            return Ok(Err(BalanceRemark::FillsMissing));
        }
        let scope = Scope { since: Some(since), ..scope };
        let page = PageRequest::first(MOVED_ROWS_MAX);
        let fills = book.fills(&scope.clone().into(), page.clone()).await.doing("reading the fills")?;
        let ledger = IncomeFilter { scope, income_type: None };
        let ledger = book.income(&ledger, page).await.doing("reading the income")?;
        if fills.next.is_some() || ledger.next.is_some() {
            return Ok(Err(BalanceRemark::TooMuchSince));
        }
        let contracts = book.instruments(account).await.doing("reading the contracts")?;
        let settles_in: BTreeMap<_, _> =
            contracts.into_iter().map(|contract| (contract.fact.symbol, contract.fact.settle_asset)).collect();
        let mut moved = Vec::new();
        for fill in fills.items.into_iter().map(|fill| fill.fact) {
            let asset = settles_in.get(&fill.key.symbol).cloned();
            let (Some(asset), Some(fee), Some(amount)) = (asset, fill.fee, fill.exchange_realized_pnl) else {
                return Ok(Err(BalanceRemark::FillsMissing));
            };
            moved.push(Moved { asset, time: fill.time, amount });
            moved.push(Moved { asset: fee.asset, time: fill.time, amount: -fee.amount });
        }
        for row in ledger.items.into_iter().map(|row| row.fact) {
            let kind = &row.key.income_type;
            if venue.ledger_rules.place(kind) == LedgerPlace::Fill {
                continue;
            }
            if venue.wallet_effect(kind) == WalletEffect::Undocumented {
                return Ok(Err(BalanceRemark::TooMuchSince));
            }
            moved.push(Moved { asset: row.key.asset, time: row.time, amount: row.amount });
        }
        moved.sort_by_key(|it| it.time.at);
        Ok(Ok(WalletBasis { identity, known: wallets, moved }))
    }

    /// What the book derives to be held, where it can be read and is sure.
    pub(super) async fn held(&self, symbol: &Symbol, is_long: bool) -> Result<Option<Quantity>, ReconcileError> {
        let positions = self.book().positions(self.recorder.account()).await.doing("reading the positions")?;
        let of_symbol = positions.into_iter().filter(|position| position.symbol == *symbol);
        let mut held = of_symbol.map(|position| position.position.qty).filter(|qty| qty.is_positive() == is_long);
        Ok(held.find_map(|qty| Quantity::new(qty.abs()).ok()))
    }
}

/// A book that did not answer in time.
pub(super) fn too_slow(waited: Duration) -> ReconcileError {
    let waited_ms = u32::try_from(waited.as_millis()).unwrap_or(u32::MAX);
    ReconcileError::Store { doing: "recording in time", source: StoreError::Busy { waited_ms } }
}
