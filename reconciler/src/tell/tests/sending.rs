//! Messages on their way to channels.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::{Clock, CourierError, Receipt};
use ledger_core::testing::{at, main_account};
use ledger_store::contract::prepare;
use ledger_store::{Book, MessageState, NewMessage};
use tokio::sync::Notify;

use super::{Receiver, TokioClock, answer, book, channel, keys_of, messages};
use crate::tell::channel::{Channel, ChannelKind};
use crate::tell::sender::Sender;

const HOUR: Duration = Duration::from_hours(1);

async fn put(book: &Book, channel: &str, keys: &[&str], now: i64) {
    let message = |key: &&str| NewMessage {
        channel: channel.to_owned(),
        key: (*key).to_owned(),
        kind: "closed".to_owned(),
        is_urgent: key.starts_with('!'),
        text: format!("told #{key}"),
        body_json: format!("{{\"id\":\"{key}\"}}"),
        not_before_local: at(0),
    };
    let new = keys.iter().map(message).collect();
    book.put_messages(&main_account(), new, at(now), at(0), "{}".to_owned()).await.unwrap();
}

fn sender(book: &Book, channel: &Arc<Channel>, courier: Arc<Receiver>, clock: Arc<dyn Clock>) -> Sender {
    let (book, channel, news) = (Arc::clone(book), Arc::clone(channel), Arc::new(Notify::new()));
    Sender { book, account: main_account(), channel, courier, clock, news, chance: 3 }
}

#[expect(clippy::unnecessary_wraps, reason = "as a courier answers")]
fn refused() -> Result<Receipt, CourierError> {
    Ok(Receipt {
        status: 400,
        retry_after_s: None,
        body: r#"{"description":"Bad Request: chat not found"}"#.to_owned(),
    })
}

#[tokio::test(start_paused = true)]
async fn each_message_is_sent_at_least_once() {
    let (book, clock) = (book(), TokioClock::starting(at(0)));
    prepare(&*book, &[]).await;
    put(&book, "desk", &["1", "2", "!3"], 0).await;
    put(&book, "other", &["1"], 0).await;
    let receiver = Receiver::new(clock.clone(), |_, _| answer(200));
    let desk = channel("desk", ChannelKind::Webhook);
    let _ = tokio::time::timeout(HOUR, sender(&book, &desk, receiver.clone(), clock).run()).await;
    assert_eq!(receiver.keys(), ["!3", "1", "2"], "what is urgent first, all in one parcel, once");
    assert_eq!(receiver.arrived().len(), 1);
    let states: BTreeMap<_, _> = messages(&book).await.into_iter().map(|it| ((it.channel, it.key), it.state)).collect();
    let sent = states.values().filter(|state| matches!(state, MessageState::Sent(_))).count();
    assert_eq!((sent, states.len()), (3, 4), "the other channel's waits: {states:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_wants_to_be_left_alone_is() {
    let (book, clock) = (book(), TokioClock::starting(at(0)));
    prepare(&*book, &[]).await;
    put(&book, "phone", &["1"], 0).await;
    // It fails, says how long it wants to be left alone, does not answer, and takes it.
    let receiver = Receiver::new(clock.clone(), |nth, _| match nth {
        1 => answer(502),
        2 => Ok(Receipt { status: 429, retry_after_s: Some(90), body: String::new() }),
        3 => Err(CourierError { reason: "there was no answer in time".to_owned() }),
        _ => answer(200),
    });
    let phone = channel("phone", ChannelKind::Telegram { chat: "1".to_owned() });
    let _ = tokio::time::timeout(HOUR, sender(&book, &phone, receiver.clone(), clock).run()).await;
    let times: Vec<i64> = receiver.arrived().iter().map(|(time, _)| time.as_ms() - at(0).as_ms()).collect();
    let between: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Looked for every 5 s at most; a quarter less by chance.
    assert!((3_750..=10_000).contains(&between[0]), "{between:?}");
    assert!((90_000..=95_000).contains(&between[1]), "{between:?}");
    assert!((15_000..=25_000).contains(&between[2]), "the third failure waits longer: {between:?}");
    assert_eq!(between.len(), 3);
    let sent = messages(&book).await.remove(0);
    assert_eq!(sent.attempts, 3);
    assert!(matches!(sent.state, MessageState::Sent(_)));

    // Another account uses the same channel: they take turns.
    put(&book, "phone", &["2"], 1).await;
    let receiver = Receiver::new(TokioClock::starting(at(0)), |_, _| answer(200));
    let begun = tokio::time::Instant::now();
    *phone.next.lock().await = Some(begun + Duration::from_secs(40));
    let once = sender(&book, &phone, receiver.clone(), TokioClock::starting(at(0)));
    let _ = tokio::time::timeout(Duration::from_mins(10), once.run()).await;
    assert!(receiver.arrived()[0].0.as_ms() - at(0).as_ms() >= 40_000);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_refused_holds_up_no_other() {
    let (book, clock) = (book(), TokioClock::starting(at(0)));
    prepare(&*book, &[]).await;
    put(&book, "desk", &["1", "bad", "2"], 0).await;
    let receiver = Receiver::new(clock.clone(), |_, body| if body.contains("bad") { refused() } else { answer(200) });
    let desk = channel("desk", ChannelKind::Webhook);
    let days = Duration::from_hours(24 * 5);
    let _ = tokio::time::timeout(days, sender(&book, &desk, receiver.clone(), clock.clone()).run()).await;
    let all = messages(&book).await;
    let states: Vec<_> = all.iter().map(|it| (it.key.as_str(), it.state)).collect();
    assert!(matches!(states[0], ("1", MessageState::Sent(_))) && matches!(states[2], ("2", MessageState::Sent(_))));
    let MessageState::GivenUp(when) = all[1].state else { panic!("{:?}", all[1]) };
    assert!(when.as_ms() - at(0).as_ms() > 3 * 86_400_000, "tried for three days");
    assert_eq!(all[1].last_error.as_deref(), Some("the receiver answered 400: Bad Request: chat not found"));
    // Ten minutes apart at most, so some hundreds of times.
    assert!((300..=700).contains(&receiver.arrived().len()), "{}", receiver.arrived().len());
    let sent: Vec<_> = receiver.arrived().into_iter().filter(|(_, body)| !body.contains("bad")).collect();
    assert!(sent.iter().all(|(time, _)| time.as_ms() - at(0).as_ms() < 60_000), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_in_a_transaction() {
    let (book, clock) = (book(), TokioClock::starting(at(0)));
    prepare(&*book, &[]).await;
    put(&book, "desk", &["1"], 0).await;
    let receiver = Receiver::slow(clock.clone(), Duration::from_mins(10), |_, _| answer(200));
    let desk = channel("desk", ChannelKind::Webhook);
    let sending = tokio::spawn(sender(&book, &desk, receiver.clone(), clock).run());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.arrived().len(), 1, "it is on its way");
    // In this book everybody shares one connection.
    let begun = tokio::time::Instant::now();
    put(&book, "desk", &["2"], 1).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_mins(25)).await;
    assert_eq!(receiver.arrived().iter().flat_map(|(_, body)| keys_of(body)).collect::<Vec<_>>(), ["1", "2"]);
    sending.abort();
}
