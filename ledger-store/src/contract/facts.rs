//! Cases about recording facts.

use ledger_core::{
    Anchor, AnyFact, Asset, BalanceSnapshot, Cancel, ClientOrderId, EngineLabel, EventTime, FactKind, Fill, FillId,
    IntentOutcome, IntentRole, Label, OrderClass, OrderIntent, OrderKey, Outcome, PositionMode, PositionModeSnapshot,
    PositionSide, Side, Signal, SignalId, SignalKind, Source, Statement,
};

use ledger_core::testing::funding_rate;

use super::Open;
use super::fixtures::{
    at, batch, by, commit, dec, fill, fills, funding, linear, main_account, mark_price, new_account, of_order, order,
    prepare, rest, said, symbol, usdt,
};
use crate::error::StoreError;
use crate::filter::{DiscrepancyFilter, IntentFilter, Scope, SignalFilter};
use crate::page::PageRequest;
use crate::record::{Acknowledgement, DiscrepancyStatus, RunKind};
use crate::sqlite::fact_key;
use crate::store::Store;

/// One fact of every kind, with every optional field present.
pub(crate) fn one_of_each() -> Vec<AnyFact> {
    let mut full_order = order("ETHUSDT", "8389765568816714211", Side::Sell, "2.5", "100.123456789", 7);
    full_order.client_order_id = Some(ClientOrderId::new("x-1").unwrap());
    full_order.order_type = Some(Label::new("LIMIT").unwrap());
    full_order.time_in_force = Some(Label::new("GTC").unwrap());
    full_order.terms.as_of = Some(at(5));
    full_order.terms.qty = Some("2.5".parse().unwrap());
    full_order.terms.price = Some("100".parse().unwrap());
    full_order.terms.trigger_price = Some("99".parse().unwrap());
    full_order.reduce_only = Some(true);
    full_order.close_position = Some(false);
    full_order.triggered_order_id = Some("77".parse().unwrap());
    full_order.origin = Some(ledger_core::Origin::Person);
    full_order.condition = Some(ledger_core::Condition::TakeProfit);
    full_order.engine = Some(EngineLabel::new("dca").unwrap());
    full_order.signal_id = Some(SignalId::new("s1").unwrap());
    full_order.exit_reason = Some(ledger_core::ExitReason::TakeProfit);
    full_order.status = "A_STATUS_OF_TOMORROW".parse().unwrap();
    let mut full_fill = of_order(fill("ETHUSDT", 3, Side::Sell, "0.00000001", "12345.67891"), "8");
    full_fill.key.fill_id = FillId::new("9007199254740993").unwrap();
    full_fill.sequence = Some(9_007_199_254_740_993);
    full_fill.time = EventTime::seconds(at(3_000));
    full_fill.fee = Some(usdt("-0.000000000000000001"));
    full_fill.exchange_realized_pnl = Some(dec("-12.5"));
    let mut full_income = funding("ETHUSDT", "t1", "-0.12345678", 9);
    full_income.fill_id = Some(FillId::new("5").unwrap());
    full_income.info = Some(Label::new("remark").unwrap());
    let mut transfer = full_income.clone();
    transfer.key.symbol = None;
    transfer.key.income_type = "TRANSFER".parse().unwrap();
    let key =
        OrderKey { symbol: symbol("币安人生USDT"), class: OrderClass::Conditional, order_id: "3".parse().unwrap() };
    vec![
        AnyFact::Instrument(linear("ETHUSDT")),
        AnyFact::Signal(Signal {
            signal_id: SignalId::new("s1").unwrap(),
            time: EventTime::ms(at(1)),
            skew_ms: Some(-250),
            symbol: symbol("ETHUSDT"),
            side: Side::Buy,
            kind: SignalKind::AutoExit,
            engine: Some(EngineLabel::new("dca").unwrap()),
            reason: Some(Label::new("EMA cross; \"quoted\"").unwrap()),
            skipped: Some(Label::new("no margin").unwrap()),
            meta_json: Some("{\"ema\": 1.5}".to_owned()),
            restored: true,
        }),
        AnyFact::Intent(OrderIntent {
            client_order_id: ClientOrderId::new("x-1").unwrap(),
            symbol: symbol("ETHUSDT"),
            class: OrderClass::Regular,
            side: Side::Buy,
            position_side: Some(PositionSide::Long),
            role: IntentRole::Dca,
            dca_step: 2,
            attempt: 1,
            order_type: Label::new("MARKET").unwrap(),
            qty: Some("1".parse().unwrap()),
            price: Some("2".parse().unwrap()),
            trigger_price: Some("3".parse().unwrap()),
            reduce_only: false,
            signal_id: Some(SignalId::new("s1").unwrap()),
            engine: Some(EngineLabel::new("dca").unwrap()),
            created_local: at(2),
            outcome: IntentOutcome::Unknown,
        }),
        AnyFact::Order(full_order),
        AnyFact::Fill(full_fill),
        AnyFact::Cancel(Cancel {
            key,
            side: Some(Side::Sell),
            time: EventTime::ms(at(4)),
            reason: Some(Label::new("timeout").unwrap()),
        }),
        AnyFact::Income(full_income),
        AnyFact::Income(transfer),
        AnyFact::Position(said("ETHUSDT", "-2.5", 8)),
        AnyFact::Balance(BalanceSnapshot { asset: Asset::new("USDT").unwrap(), at: at(8), wallet: dec("-0.5") }),
        AnyFact::Price(mark_price("ETHUSDT", "0.00000001", 8)),
        AnyFact::FundingRate(funding_rate("ETHUSDT", "-0.00375", Some("1801.25"), 28_800_003)),
        AnyFact::Anchor(Anchor {
            symbol: symbol("ETHUSDT"),
            position_side: PositionSide::Net,
            at: at(0),
            qty: dec("0"),
            entry_price: Some("7".parse().unwrap()),
            derivation: Label::new("first observation").unwrap(),
            known_before: Some(ledger_core::KnownBefore { until: at(4), fill_count: 3 }),
            withdrawn: Some(Label::new("older fills came").unwrap()),
        }),
        AnyFact::PositionMode(PositionModeSnapshot { at: at(6), mode: PositionMode::Hedge }),
    ]
}

/// The fact with the key of `like`, read by key or from its list.
async fn read_back(store: &dyn Store, like: &AnyFact) -> Option<AnyFact> {
    let (account, first) = (main_account(), PageRequest::first(10));
    let scope = Scope::account(account.clone());
    match like {
        AnyFact::Instrument(it) => {
            store.instrument(&account, &it.symbol).await.unwrap().map(|it| AnyFact::Instrument(it.fact))
        }
        AnyFact::Signal(it) => store.signal(&account, &it.signal_id).await.unwrap().map(|it| AnyFact::Signal(it.fact)),
        AnyFact::Intent(it) => {
            store.intent(&account, &it.client_order_id).await.unwrap().map(|it| AnyFact::Intent(it.fact))
        }
        AnyFact::Order(it) => store.order(&account, &it.key).await.unwrap().map(|it| AnyFact::Order(it.order.fact)),
        AnyFact::Fill(it) => store.fill(&account, &it.key).await.unwrap().map(|it| AnyFact::Fill(it.fact)),
        AnyFact::Cancel(it) => store.cancel(&account, &it.key).await.unwrap().map(|it| AnyFact::Cancel(it.fact)),
        AnyFact::Income(it) => store.income_row(&account, &it.key).await.unwrap().map(|it| AnyFact::Income(it.fact)),
        AnyFact::Position(_) => {
            let page = store.position_snapshots(&scope, first).await.unwrap();
            page.items.into_iter().next().map(|it| AnyFact::Position(it.fact))
        }
        AnyFact::Balance(_) => {
            let page = store.balance_snapshots(&scope, first).await.unwrap();
            page.items.into_iter().next().map(|it| AnyFact::Balance(it.fact))
        }
        AnyFact::Price(_) => {
            let page = store.price_snapshots(&scope, first).await.unwrap();
            page.items.into_iter().next().map(|it| AnyFact::Price(it.fact))
        }
        AnyFact::FundingRate(_) => {
            let page = store.funding_rates(&scope, first).await.unwrap();
            page.items.into_iter().next().map(|it| AnyFact::FundingRate(it.fact))
        }
        AnyFact::Anchor(_) => {
            let page = store.anchors(&scope, first).await.unwrap();
            page.items.into_iter().next().map(|it| AnyFact::Anchor(it.fact))
        }
        AnyFact::PositionMode(_) => {
            let modes = store.position_modes(&account).await.unwrap();
            modes.into_iter().next().map(|it| AnyFact::PositionMode(it.fact))
        }
    }
}

/// Nothing is lost, rounded or cut on the way to the book and back.
pub async fn every_fact_comes_back_as_it_went_in(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let facts = one_of_each();
    let report = commit(store, facts.iter().cloned().map(rest).collect()).await;
    assert!(report.outcomes.iter().all(|outcome| *outcome == Outcome::Recorded), "{:?}", report.outcomes);
    for fact in &facts {
        assert_eq!(read_back(store, fact).await.as_ref(), Some(fact));
    }
}

/// A second identical statement answers that it is there, and leaves no trace.
pub async fn recording_again_changes_nothing(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let facts = one_of_each();
    let statements: Vec<_> = facts.iter().cloned().map(rest).collect();
    commit(store, statements.clone()).await;
    let before = super::dump(store, &main_account()).await;
    let mut again = batch(statements);
    again.recorded_at = at(90_000_000);
    let report = store.commit(again).await.unwrap();
    assert_eq!(report.counts().already_recorded, facts.len());
    assert!(report.refolded.is_empty() && report.pending.is_empty());
    assert_eq!(super::dump(store, &main_account()).await, before);
    for fact in &facts {
        let sources = store.fact_sources(&main_account(), fact.kind(), &fact_key(fact)).await.unwrap();
        assert_eq!(sources.len(), 1, "{fact:?}");
        assert!(sources.iter().all(|source| source.recorded_at == at(86_400_000)));
    }
}

/// A file with less detail and an answer with more make one fact, whichever comes first.
pub async fn a_finer_statement_refines_a_coarser_one(open: Open<'_>) {
    let fine = of_order(fill("ETHUSDT", 5, Side::Buy, "1", "100"), "9");
    let coarse =
        Fill { time: EventTime::seconds(fine.time.at), fee: None, order_id: None, position_side: None, ..fine.clone() };
    let statements = [by(Source::ExchangeCsv, AnyFact::Fill(coarse)), rest(AnyFact::Fill(fine.clone()))];
    for (first, second) in [(0, 1), (1, 0)] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        commit(store, statements.get(first).cloned().into_iter().collect()).await;
        let report = commit(store, statements.get(second).cloned().into_iter().collect()).await;
        let merged = store.fill(&main_account(), &fine.key).await.unwrap().unwrap();
        assert_eq!((merged.fact, merged.provenance.source), (fine.clone(), Source::Rest));
        let outcome = report.outcomes.first().unwrap();
        if first == 0 {
            let Outcome::Merged { fields } = outcome else { unreachable!("{outcome:?}") };
            assert!(fields.contains("fee") && fields.contains("position_side"), "{fields:?}");
        } else {
            assert_eq!(*outcome, Outcome::AlreadyRecorded);
        }
    }
}

/// Two prices for one trade: the better source is believed, both values are on record, once.
pub async fn a_conflict_is_recorded_once_with_both_values(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let right = fill("ETHUSDT", 5, Side::Buy, "1", "100");
    let wrong = Fill { price: "111".parse().unwrap(), ..right.clone() };
    let wrong = by(Source::ExchangeCsv, AnyFact::Fill(wrong));
    commit(store, vec![wrong.clone()]).await;
    for statement in [rest(AnyFact::Fill(right.clone())), wrong] {
        let report = commit(store, vec![statement]).await;
        assert!(matches!(report.outcomes.first(), Some(Outcome::Conflicts { fields }) if fields.contains("price")));
    }
    let merged = store.fill(&main_account(), &right.key).await.unwrap().unwrap();
    assert_eq!(merged.fact.price, right.price);
    assert!(merged.conflicts.contains("price"));
    let page = store.discrepancies(&DiscrepancyFilter::open(main_account()), PageRequest::first(10)).await.unwrap();
    let found: Vec<_> = page.items.iter().map(|item| &item.entry).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let found = found.first().unwrap();
    assert_eq!((found.key.kind.as_str(), &found.symbol), ("conflicting_fact", &Some(symbol("ETHUSDT"))));
    assert!(
        found.evidence_json.contains("\"111\"") && found.evidence_json.contains("\"100\""),
        "{}",
        found.evidence_json
    );
}

/// A conflict about something that is superseded is none any more; one about what supersedes it is open again. What
/// somebody has accepted stays accepted whatever order the same statements come in again.
pub async fn a_conflict_that_is_settled_is_closed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let stated = |source, qty: &str, second: i64| {
        let mut order = order("ETHUSDT", "7", Side::Buy, "0", "100", 1);
        (order.status, order.executed) = ("NEW".parse().unwrap(), None);
        order.terms.as_of = Some(at(second * 1_000));
        order.terms.qty = Some(qty.parse().unwrap());
        by(source, AnyFact::Order(order))
    };
    let on_record = async || {
        let page = store.discrepancies(&DiscrepancyFilter::all(main_account()), PageRequest::first(9)).await.unwrap();
        page.items.into_iter().map(|it| (it.id, it.entry.status)).collect::<Vec<_>>()
    };
    commit(store, vec![stated(Source::Rest, "3", 5)]).await;
    commit(store, vec![stated(Source::Ccxt, "4", 5)]).await;
    let found = on_record().await;
    let [(id, DiscrepancyStatus::Unresolved)] = found.as_slice() else { unreachable!("{found:?}") };
    commit(store, vec![stated(Source::Rest, "5", 6)]).await;
    assert_eq!(on_record().await, [(*id, DiscrepancyStatus::Resolved)]);
    commit(store, vec![stated(Source::Ccxt, "6", 6)]).await;
    assert_eq!(on_record().await, [(*id, DiscrepancyStatus::Unresolved)]);
    let acknowledgement = Acknowledgement {
        account: main_account(),
        discrepancy_id: *id,
        run_id: store.begin_run(&main_account(), RunKind::Correct, at(0)).await.unwrap(),
        at_local: at(0),
        by: "kim".to_owned(),
        reason: "the file is wrong".to_owned(),
    };
    store.acknowledge_discrepancy(acknowledgement).await.unwrap();
    for again in [stated(Source::Rest, "5", 6), stated(Source::Ccxt, "6", 6)] {
        commit(store, vec![again]).await;
        assert_eq!(on_record().await, [(*id, DiscrepancyStatus::Acknowledged)]);
    }
    commit(store, vec![stated(Source::BotDatabase, "7", 6)]).await;
    assert_eq!(on_record().await, [(*id, DiscrepancyStatus::Unresolved)]);
    // Found and settled within one batch, it was never open.
    commit(store, vec![stated(Source::Rest, "8", 7), stated(Source::Ccxt, "9", 7), stated(Source::Rest, "5", 8)]).await;
    assert_eq!(on_record().await, [(*id, DiscrepancyStatus::Resolved)]);
}

/// An exchange changes the steps of a contract and what a forced close costs: the later terms stand, and nothing is in
/// conflict.
pub async fn terms_of_a_contract_have_versions(open: Open<'_>) {
    let version = |tick: &str, fee: &str, second: i64| {
        let mut contract = linear("ETHUSDT");
        (contract.tick_size, contract.liquidation_fee) = (Some(dec(tick)), Some(dec(fee)));
        contract.terms_as_of = Some(at(second * 1_000));
        rest(AnyFact::Instrument(contract))
    };
    let guessed = ledger_core::Instrument { tick_size: None, liquidation_fee: None, ..linear("ETHUSDT") };
    let statements =
        [version("0.1", "0.02", 5), version("0.01", "0.0125", 9), by(Source::Repair, AnyFact::Instrument(guessed))];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let book = open();
        let store = &*book.store;
        store.create_account(new_account("main")).await.unwrap();
        for index in order {
            commit(store, statements.get(index).cloned().into_iter().collect()).await;
        }
        let kept = store.instrument(&main_account(), &symbol("ETHUSDT")).await.unwrap().unwrap();
        assert_eq!((kept.fact.tick_size, kept.fact.terms_as_of), (Some(dec("0.01")), Some(at(9_000))), "{order:?}");
        assert_eq!(kept.fact.liquidation_fee, Some(dec("0.0125")), "{order:?}");
        assert!(kept.conflicts.is_empty(), "{order:?}: {kept:?}");
    }
}

/// REST's word on how much an ended order executed is not overridden by a file that says more.
pub async fn the_last_word_on_an_order_is_kept(open: Open<'_>) {
    let last = order("ETHUSDT", "7", Side::Buy, "3", "100", 5);
    let more = order("ETHUSDT", "7", Side::Buy, "4", "100", 5);
    let statements = [rest(AnyFact::Order(last.clone())), by(Source::ExchangeCsv, AnyFact::Order(more))];
    for order in [[0, 1], [1, 0]] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        for index in order {
            commit(store, statements.get(index).cloned().into_iter().collect()).await;
        }
        let kept = store.order(&main_account(), &last.key).await.unwrap().unwrap();
        assert_eq!(kept.order.fact.executed.map(|executed| executed.qty), Some(dec("3")), "{order:?}");
        assert_eq!(kept.residual_qty, Some(dec("3")), "{order:?}");
        let open_ones = DiscrepancyFilter::open(main_account());
        let found = store.discrepancies(&open_ones, PageRequest::first(9)).await.unwrap().items;
        let [only] = found.as_slice() else { unreachable!("{order:?}: {found:?}") };
        assert!(only.entry.key.fingerprint.contains("executed_qty"), "{only:?}");
        assert!(only.entry.evidence_json.contains("\"4\"") && only.entry.evidence_json.contains("\"3\""), "{only:?}");
    }
}

/// A batch may state a fact several times; each statement gets the answer it would get alone.
pub async fn statements_under_one_key_in_one_batch_are_merged(open: Open<'_>) {
    let fine = fill("ETHUSDT", 5, Side::Buy, "1", "100");
    let coarse = Fill { fee: None, ..fine.clone() };
    let other = fill("ETHUSDT", 6, Side::Buy, "1", "100");
    let statements = vec![
        by(Source::ExchangeCsv, AnyFact::Fill(coarse)),
        rest(AnyFact::Fill(other.clone())),
        rest(AnyFact::Fill(fine.clone())),
        rest(AnyFact::Fill(fine.clone())),
        by(Source::Ccxt, AnyFact::Fill(Fill { price: "7".parse().unwrap(), ..fine.clone() })),
    ];
    for seeded in [false, true] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        if seeded {
            commit(store, fills([other.clone()])).await;
        }
        let outcomes = commit(store, statements.clone()).await.outcomes;
        let [first, second, third, fourth, fifth] = outcomes.as_slice() else { unreachable!("{outcomes:?}") };
        assert_eq!(*first, Outcome::Recorded);
        assert_eq!(*second, if seeded { Outcome::AlreadyRecorded } else { Outcome::Recorded });
        assert!(matches!(third, Outcome::Merged { fields } if fields.contains("fee")), "{third:?}");
        assert_eq!(*fourth, Outcome::AlreadyRecorded);
        assert!(matches!(fifth, Outcome::Conflicts { fields } if fields.contains("price")), "{fifth:?}");
        assert_eq!(store.fill(&main_account(), &fine.key).await.unwrap().unwrap().fact, fine);
    }
}

/// Another payload for the same fact is kept beside the first, byte for byte.
pub async fn payloads_are_kept_verbatim_and_once(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let fact = AnyFact::Fill(fill("ETHUSDT", 5, Side::Buy, "1", "100"));
    let payloads = ["{\"qty\": 1.0}", "{\"qty\":1}", "{\"qty\": 1.0}", "zwölf 🧾 \u{0}x"];
    for payload in payloads {
        commit(store, vec![Statement { fact: fact.clone(), source: Source::Rest, payload: Some(payload.into()) }])
            .await;
    }
    commit(store, vec![Statement { fact: fact.clone(), source: Source::Stream, payload: None }]).await;
    let sources = store.fact_sources(&main_account(), FactKind::Fill, &fact_key(&fact)).await.unwrap();
    let mut kept: Vec<_> = sources.iter().map(|source| source.payload.as_str()).collect();
    kept.sort_unstable();
    let mut expected = vec!["{\"qty\": 1.0}", "{\"qty\":1}", "zwölf 🧾 \u{0}x"];
    expected.sort_unstable();
    assert_eq!(kept, expected);
}

/// Facts of an account that nobody created are a mistake, not a new account.
pub async fn an_unknown_account_is_refused(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    let error = store.commit(batch(fills([fill("ETHUSDT", 1, Side::Buy, "1", "1")]))).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownAccount { account } if account == main_account()));
    store.create_account(new_account("main")).await.unwrap();
    assert_eq!(store.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 0);
}

/// The same ids in two accounts are two facts.
pub async fn accounts_do_not_mix(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    store.create_account(new_account("other")).await.unwrap();
    let other = new_account("other").id;
    commit(store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    let mut theirs =
        batch(fills([fill("ETHUSDT", 1, Side::Sell, "3", "50"), fill("ETHUSDT", 2, Side::Sell, "3", "50")]));
    theirs.account = other.clone();
    theirs.statements.push(rest(AnyFact::Instrument(linear("ETHUSDT"))));
    assert_eq!(store.commit(theirs).await.unwrap().counts().recorded, 3);
    assert_eq!(store.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 1);
    assert_eq!(store.fill_count(&Scope::account(other.clone()).into()).await.unwrap(), 2);
    assert_eq!(super::position_of(store, "ETHUSDT").await.0, dec("1"));
    let theirs = store.positions(&other).await.unwrap();
    assert_eq!(theirs.iter().map(|position| position.position.qty).collect::<Vec<_>>(), [dec("-6")]);
    let signals = SignalFilter::from(Scope::account(other.clone()));
    assert!(store.signals(&signals, PageRequest::first(1)).await.unwrap().items.is_empty());
    let intents = IntentFilter { unresolved_only: true, ..IntentFilter::from(Scope::account(other)) };
    assert!(store.intents(&intents, PageRequest::first(1)).await.unwrap().items.is_empty());
}
