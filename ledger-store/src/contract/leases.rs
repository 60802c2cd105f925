//! Cases about who watches an account.

use ledger_core::Side;

use super::Open;
use super::dump::dump;
use super::fixtures::{at, batch, commit, fill, fills, main_account, new_account, prepare};
use crate::error::StoreError;
use crate::lease::{HeldLease, LeaseAnswer, LeaseRecord, LeaseRequest};
use crate::record::{RunKind, RunStatus};
use crate::store::Store;

fn request(holder: &str, now: i64) -> LeaseRequest {
    LeaseRequest {
        account: main_account(),
        holder: holder.to_owned(),
        now_local: at(now),
        until_local: at(now + 30_000),
    }
}

async fn granted(store: &dyn Store, holder: &str, now: i64) -> HeldLease {
    match store.take_lease(request(holder, now)).await.unwrap() {
        LeaseAnswer::Granted(held) => held,
        LeaseAnswer::Held(record) => unreachable!("{record:?}"),
    }
}

async fn refused(store: &dyn Store, holder: &str, now: i64) -> LeaseRecord {
    match store.take_lease(request(holder, now)).await.unwrap() {
        LeaseAnswer::Held(record) => record,
        LeaseAnswer::Granted(held) => unreachable!("{held:?}"),
    }
}

/// A lease is one holder's until it is given back, until the time is over that nobody renewed, or until its holder is gone. A
/// holder that comes back late keeps it as long as nobody else has taken it.
pub async fn an_account_is_watched_by_one(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    let error = store.take_lease(request("first", 0)).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownAccount { .. }), "{error:?}");
    store.create_account(new_account("main")).await.unwrap();
    store.create_account(new_account("other")).await.unwrap();
    assert_eq!(store.lease(&main_account()).await.unwrap(), None);

    let mut first = granted(store, "first", 0).await;
    let known = refused(store, "second", 1_000).await;
    assert_eq!((known.holder.as_str(), &known.lease), ("first", &first.lease));
    let other = LeaseRequest { account: "other".parse().unwrap(), ..request("second", 1_000) };
    assert!(matches!(store.take_lease(other).await.unwrap(), LeaseAnswer::Granted(_)), "another account");

    store.renew_lease(&mut first, at(20_000), at(50_000), Some(r#"{"a":1}"#.to_owned())).await.unwrap();
    let known = store.lease(&main_account()).await.unwrap().unwrap();
    assert_eq!((known.taken_local, known.renewed_local, known.until_local), (at(0), at(20_000), at(50_000)));
    assert_eq!((known.ended_local, known.state_json.as_deref()), (None, Some(r#"{"a":1}"#)));
    assert!(known.is_in_force(at(50_000)) && !known.is_in_force(at(50_001)));
    refused(store, "second", 50_000).await;
    // Late, and nobody has taken it.
    store.renew_lease(&mut first, at(60_000), at(90_000), None).await.unwrap();
    refused(store, "second", 70_000).await;

    store.end_lease(first, at(71_000), Some(r#"{"a":2}"#.to_owned())).await.unwrap();
    let known = store.lease(&main_account()).await.unwrap().unwrap();
    assert_eq!((known.ended_local, known.state_json.as_deref()), (Some(at(71_000)), Some(r#"{"a":2}"#)));
    assert!(!known.is_in_force(at(71_000)));
    let second = granted(store, "second", 71_000).await;
    assert_eq!(second.lease.number, 2);
    let known = store.lease(&main_account()).await.unwrap().unwrap();
    assert_eq!((known.holder.as_str(), known.ended_local, known.state_json), ("second", None, None));
}

/// Whoever had the lease before writes nothing, whatever it is; reading goes on, and the one who has it now is not disturbed.
pub async fn whoever_lost_a_lease_writes_nothing(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let mut first = granted(store, "first", 0).await;
    let of_first = store.under_lease(&first.lease);
    commit(&*of_first, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    let run = of_first.begin_run(&main_account(), RunKind::Sync, at(1)).await.unwrap();

    // It did not move until its time was over.
    let second = granted(store, "second", 30_001).await;
    let before = dump(store, &main_account()).await;
    let second_fill = || fills([fill("ETHUSDT", 2, Side::Buy, "1", "100")]);
    let one = || batch(second_fill());
    let lost =
        |error: &StoreError| matches!(error, StoreError::LeaseLost { holder: Some(holder), .. } if holder == "second");
    let error = of_first.commit(one()).await.unwrap_err();
    assert!(lost(&error), "{error:?}");
    let error = of_first.end_run(run, RunStatus::Done, at(2), None).await.unwrap_err();
    assert!(lost(&error), "{error:?}");
    let transaction = of_first.begin().await.unwrap();
    let error = transaction.book().commit(one()).await.unwrap_err();
    assert!(lost(&error), "{error:?}");
    drop(transaction);
    let error = store.renew_lease(&mut first, at(30_002), at(60_000), None).await.unwrap_err();
    assert!(lost(&error), "{error:?}");
    let error = store.end_lease(first, at(30_003), None).await.unwrap_err();
    assert!(lost(&error), "{error:?}");
    assert_eq!(dump(store, &main_account()).await, before);
    assert!(of_first.account(&main_account()).await.unwrap().is_some(), "reading goes on");

    let of_second = store.under_lease(&second.lease);
    commit(&*of_second, second_fill()).await;
    assert_ne!(dump(store, &main_account()).await, before);
    // Whoever needs no lease goes on beside it.
    commit(store, fills([fill("ETHUSDT", 3, Side::Buy, "1", "100")])).await;
    // Who has given it back writes nothing either.
    store.end_lease(second, at(40_000), None).await.unwrap();
    let error = of_second.commit(one()).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost { holder: None, .. }), "{error:?}");
}
