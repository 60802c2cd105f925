//! Cases about what is to be told to people.

use ledger_core::Side;

use super::Open;
use super::fixtures::{at, batch, commit, fill, fills, main_account, prepare};
use crate::error::StoreError;
use crate::lease::{LeaseAnswer, LeaseRequest};
use crate::outbox::{Attempt, Message, MessageState, NewMessage};
use crate::page::PageRequest;
use crate::pages::Pages;
use crate::store::Store;

fn message(channel: &str, key: &str) -> NewMessage {
    NewMessage {
        channel: channel.to_owned(),
        key: key.to_owned(),
        kind: "closed".to_owned(),
        is_urgent: false,
        text: format!("told {key}"),
        body_json: format!("{{\"key\":\"{key}\"}}"),
        not_before_local: at(0),
    }
}

async fn put(store: &dyn Store, messages: Vec<NewMessage>, now: i64, state: &str) -> usize {
    store.put_messages(&main_account(), messages, at(now), at(0), state.to_owned()).await.unwrap()
}

async fn due(store: &dyn Store, channel: &str, now: i64) -> Vec<String> {
    let due = store.due_messages(&main_account(), channel, at(now), 100).await.unwrap();
    due.into_iter().map(|message| message.key).collect()
}

async fn all(store: &dyn Store) -> Vec<Message> {
    let account = main_account();
    Pages::of(PageRequest::first(2), |page| store.messages(&account, page)).all().await.unwrap()
}

/// A message is there once for each channel, with what says that it was made; what was told once is not told again.
pub async fn a_message_is_made_once_with_how_far_the_telling_came(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    let error = store.put_messages(&main_account(), vec![message("a", "1")], at(1), at(0), "{}".into()).await;
    assert!(matches!(error, Err(StoreError::UnknownAccount { .. })), "{error:?}");
    prepare(store, &[]).await;
    assert_eq!(store.telling(&main_account()).await.unwrap(), None);
    assert_eq!(put(store, Vec::new(), 1, "{\"a\":1}").await, 0);
    assert_eq!(store.telling(&main_account()).await.unwrap().as_deref(), Some("{\"a\":1}"));
    assert_eq!(put(store, vec![message("a", "1"), message("b", "1"), message("a", "1")], 2, "{\"a\":2}").await, 2);
    assert_eq!(put(store, vec![message("a", "1"), message("a", "2")], 3, "{\"a\":3}").await, 1);
    assert_eq!(store.telling(&main_account()).await.unwrap().as_deref(), Some("{\"a\":3}"));
    let kept = all(store).await;
    let shown: Vec<_> = kept.iter().map(|it| (it.channel.as_str(), it.key.as_str(), it.made_local)).collect();
    assert_eq!(shown, [("a", "1", at(2)), ("b", "1", at(2)), ("a", "2", at(3))]);
    assert_eq!((kept[0].text.as_str(), kept[0].body_json.as_str()), ("told 1", "{\"key\":\"1\"}"));
    assert_eq!((kept[0].attempts, kept[0].state, &kept[0].last_error), (0, MessageState::Waiting(at(0)), &None));

    // Whoever lost the lease makes none.
    let request = |now: i64| LeaseRequest {
        account: main_account(),
        holder: "someone".to_owned(),
        now_local: at(now),
        until_local: at(now + 10),
    };
    let LeaseAnswer::Granted(first) = store.take_lease(request(10)).await.unwrap() else { unreachable!() };
    let of_first = store.under_lease(&first.lease);
    let LeaseAnswer::Granted(_second) = store.take_lease(request(21)).await.unwrap() else { unreachable!() };
    let late = of_first.put_messages(&main_account(), vec![message("a", "3")], at(22), at(0), "{\"a\":4}".into()).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    assert_eq!(
        (all(store).await, store.telling(&main_account()).await.unwrap().unwrap().as_str()),
        (kept, "{\"a\":3}")
    );
}

/// Urgent ones go first; what failed waits; what was sent or given up stays so. What ended long ago goes.
pub async fn a_message_waits_until_it_is_sent_or_given_up(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &[]).await;
    let urgent = NewMessage { is_urgent: true, ..message("a", "urgent") };
    let held = NewMessage { not_before_local: at(50), ..message("a", "held") };
    put(store, vec![message("a", "1"), held, message("a", "2"), urgent, message("b", "1")], 10, "{}").await;
    assert_eq!(due(store, "a", 10).await, ["urgent", "1", "2"]);
    assert_eq!(due(store, "b", 10).await, ["1"]);
    assert_eq!(store.due_messages(&main_account(), "a", at(10), 1).await.unwrap().len(), 1);
    let ids: Vec<i64> = all(store).await.iter().map(|message| message.id).collect();
    let failed = |at_ms| Attempt::Failed { next_try_local: at(at_ms), error: "it did not answer".to_owned() };
    store.note_attempt(vec![ids[0], ids[2]], failed(30)).await.unwrap();
    assert_eq!(due(store, "a", 29).await, ["urgent"]);
    assert_eq!(due(store, "a", 30).await, ["urgent", "1", "2"]);
    assert_eq!(due(store, "a", 50).await, ["urgent", "1", "held", "2"]);
    store.note_attempt(vec![ids[0], ids[3]], Attempt::Sent { at_local: at(60) }).await.unwrap();
    let given_up = Attempt::GivenUp { at_local: at(61), error: "it refused".to_owned() };
    store.note_attempt(vec![ids[2]], given_up.clone()).await.unwrap();
    // What has ended stays as it is.
    store.note_attempt(vec![ids[0]], given_up).await.unwrap();
    store.note_attempt(vec![ids[2]], failed(70)).await.unwrap();
    assert_eq!(due(store, "a", 100).await, ["held"]);
    let kept = all(store).await;
    assert_eq!((kept[0].attempts, kept[0].state), (1, MessageState::Sent(at(60))));
    assert_eq!((kept[2].attempts, kept[2].state), (2, MessageState::GivenUp(at(61))));
    assert_eq!(kept[2].last_error.as_deref(), Some("it refused"));
    store.note_attempt(vec![ids[4]], failed(100)).await.unwrap();
    let summary = store.outbox_summary(&main_account()).await.unwrap();
    let told: Vec<_> =
        summary.iter().map(|it| (it.channel.as_str(), it.waiting, it.oldest_local, it.given_up)).collect();
    assert_eq!(told, [("a", 1, Some(at(10)), 1), ("b", 1, Some(at(10)), 0)]);
    assert_eq!(summary[1].last_error.as_deref(), Some("it did not answer"));

    assert_eq!(store.give_up_others(&main_account(), vec!["a".to_owned()], at(110)).await.unwrap(), 1);
    assert_eq!(all(store).await[4].state, MessageState::GivenUp(at(110)));
    // Those that ended go when they are old, those that wait stay.
    store.put_messages(&main_account(), vec![message("a", "3")], at(200), at(11), "{}".into()).await.unwrap();
    let left: Vec<_> = all(store).await.into_iter().map(|message| message.key).collect();
    assert_eq!(left, ["held", "3"]);
}

/// Fills are told in the order in which the book learned of them, whatever their times; what is stated again is not new.
pub async fn fills_are_told_as_the_book_learned_of_them(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    assert_eq!(store.fills_end().await.unwrap(), 0);
    let one = |id| fill("ETHUSDT", id, Side::Buy, "1", "100");
    commit(store, fills([one(5), one(6)])).await;
    commit(store, fills([one(1)])).await;
    let told = async |place, limit| {
        let told = store.recorded_fills(&main_account(), place, limit).await.unwrap();
        let ids: Vec<String> = told.fills.iter().map(|fill| fill.fact.key.fill_id.to_string()).collect();
        (ids, told.until, told.is_all)
    };
    let (ids, until, is_all) = told(0, 2).await;
    assert_eq!((ids, is_all), (vec!["5".to_owned(), "6".to_owned()], false));
    let (ids, end, is_all) = told(until, 2).await;
    assert_eq!((ids, is_all, end), (vec!["1".to_owned()], true, store.fills_end().await.unwrap()));
    commit(store, fills([one(6), one(2)])).await;
    assert_eq!(told(end, 9).await.0, ["2"], "the sixth was known");
    // Another account's are none of this one's, and are passed by.
    store.create_account(super::fixtures::new_account("other")).await.unwrap();
    let mut foreign = batch(fills([one(7)]));
    foreign.account = "other".parse().unwrap();
    let end = told(end, 9).await.1;
    store.commit(foreign).await.unwrap();
    let (ids, until, is_all) = told(end, 9).await;
    assert_eq!((ids, is_all), (Vec::<String>::new(), true));
    assert!(until > end && until == store.fills_end().await.unwrap());
}
