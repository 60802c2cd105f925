//! The bot's own files, as they are written.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use ledger_core::Source;
use ledger_store::{Book, OrderFilter, PageRequest, Scope, SignalFilter};
use serde_json::json;

use super::*;
use crate::record::BotFiles;

struct Bot {
    recorder: EventRecorder,
    store: Book,
    files: BotFiles,
    log: PathBuf,
    state: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bot {
    async fn new() -> Self {
        let (recorder, store, _) = recorder().await;
        let folder = tempfile::tempdir().unwrap();
        let (log, state) = (folder.path().join("entry_events.log"), folder.path().join("state.json"));
        let files = BotFiles::new(Some(log.clone()), Some(state.clone()), TimeZone::UTC);
        Self { recorder, store, files, log, state, _folder: folder }
    }

    /// The same book, in a process that begins anew.
    fn restart(&mut self) {
        self.files = BotFiles::new(Some(self.log.clone()), Some(self.state.clone()), TimeZone::UTC);
    }

    async fn look(&mut self) -> Vec<String> {
        self.files.look(&self.recorder).await.unwrap()
    }

    async fn engines(&self) -> Vec<String> {
        let filter = SignalFilter::from(Scope::account(account()));
        let signals = self.store.signals(&filter, PageRequest::first(100)).await.unwrap().items;
        signals.into_iter().map(|signal| signal.fact.engine.unwrap().to_string()).collect()
    }
}

/// A line of the log; the engine's number is its minute, too.
fn line(nth: i64) -> String {
    let ts = START_MS / 1_000 + nth * 600;
    format!("{}\n", json!({ "ts": ts, "symbol": "BTCUSDT", "side": "LONG", "engine": format!("e{nth}") }))
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn each_line_counts_once_however_often_it_is_looked_at() {
    let mut bot = Bot::new().await;
    assert_eq!(bot.look().await.len(), 2, "neither file is there");
    assert!(bot.look().await.is_empty(), "and that is told once");
    append(&bot.log, &(line(1) + &line(2)));
    for _ in 0..2 {
        assert!(bot.look().await.is_empty());
        assert_eq!(bot.engines().await, ["e1", "e2"]);
        bot.restart();
        fs::write(&bot.state, "{}").unwrap();
    }
    append(&bot.log, &line(3));
    bot.look().await;
    assert_eq!(bot.engines().await, ["e1", "e2", "e3"]);
}

#[tokio::test]
async fn a_half_written_line_is_left_for_later() {
    let mut bot = Bot::new().await;
    let (text, third) = (line(1), line(3));
    for at in [1, 10, text.len() - 1] {
        fs::write(&bot.log, &text[..at]).unwrap();
        fs::write(&bot.state, "{}").unwrap();
        assert!(bot.look().await.is_empty(), "{at}");
        assert!(bot.engines().await.is_empty(), "{at}");
    }
    append(&bot.log, &text[text.len() - 1..]);
    append(&bot.log, &third[..5]);
    bot.look().await;
    assert_eq!(bot.engines().await, ["e1"]);
    bot.restart();
    append(&bot.log, &third[5..]);
    assert!(bot.look().await.is_empty());
    assert_eq!(bot.engines().await, ["e1", "e3"]);
}

#[tokio::test]
async fn a_log_that_was_cut_or_replaced_is_read_from_its_beginning() {
    let mut bot = Bot::new().await;
    fs::write(&bot.state, "{}").unwrap();
    append(&bot.log, &(line(1) + &line(2)));
    bot.look().await;
    // Cut, and shorter than before.
    fs::write(&bot.log, line(3)).unwrap();
    assert_eq!(bot.look().await.len(), 1, "that is told");
    assert_eq!(bot.engines().await, ["e1", "e2", "e3"]);
    // Written anew, and as long again at once.
    fs::write(&bot.log, line(4) + &line(5)).unwrap();
    bot.look().await;
    assert_eq!(bot.engines().await, ["e1", "e2", "e3", "e4", "e5"]);
    // Put aside with lines that nobody has read, the last one without its end.
    append(&bot.log, &line(6));
    append(&bot.log, line(7).trim_end());
    fs::rename(&bot.log, bot.log.with_extension("1")).unwrap();
    append(&bot.log, &line(8));
    bot.look().await;
    assert_eq!(bot.engines().await, ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"]);
    // Put aside while nobody looked.
    bot.restart();
    fs::rename(&bot.log, bot.log.with_extension("2")).unwrap();
    append(&bot.log, &(line(9) + &line(10)));
    bot.look().await;
    assert_eq!(bot.engines().await.len(), 10);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_once() {
    let mut bot = Bot::new().await;
    append(&bot.log, &(line(1) + "not json\n{\"ts\": 1}\n" + &line(2)));
    fs::write(&bot.state, r#"{"DOGEUSDT": {"side": "UP", "meta": {"reason": "x"}}}"#).unwrap();
    let told = bot.look().await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("line 2") && told[1].contains("line 3") && told[2].contains("DOGEUSDT"), "{told:?}");
    assert_eq!(bot.engines().await, ["e1", "e2"]);
    append(&bot.log, &line(3));
    fs::write(&bot.state, r#"{"DOGEUSDT": {"side": "UP", "meta": {"reason": "x"}}, "at": 2}"#).unwrap();
    assert!(bot.look().await.is_empty());
    bot.restart();
    fs::write(&bot.state, "{}").unwrap();
    assert!(bot.look().await.is_empty(), "nor by the next process");
    // A state that is being written is no broken one, unless it stays like that.
    fs::write(&bot.state, r#"{"DOGE"#).unwrap();
    assert!(bot.look().await.is_empty());
    assert_eq!(bot.look().await.len(), 1);
    assert!(bot.look().await.is_empty());
}

#[tokio::test]
async fn the_state_labels_what_opened_the_position() {
    let mut bot = Bot::new().await;
    fs::write(&bot.log, "").unwrap();
    fs::write(&bot.state, r#"{"BTC/USDT:USDT": {"in_pos": true, "side": "LONG", "meta": {"reason": "atlas"}}}"#)
        .unwrap();
    assert!(bot.look().await.is_empty(), "the position is not on record yet");
    let bought = json!({ "event": "trade", "trade": trade("BTCUSDT", 1, 7, "BUY", "100", START_MS) });
    ask(&mut bot.recorder, &bought).await;
    bot.look().await;
    let engine = async |store: &Book| {
        let orders = store.orders(&OrderFilter::from(Scope::account(account())), PageRequest::first(10)).await.unwrap();
        let order = &orders.items[0].order;
        (order.fact.engine.as_ref().unwrap().to_string(), order.provenance.of("engine"))
    };
    assert_eq!(engine(&bot.store).await, ("atlas".to_owned(), Source::BotState));
    // The bot's own word on the order is better, and stands.
    ask(&mut bot.recorder, &json!({ "event": "label", "symbol": "BTCUSDT", "order_id": "7", "engine": "swing" })).await;
    fs::write(&bot.state, r#"{"BTC/USDT:USDT": {"side": "LONG", "meta": {"reason": "other"}}}"#).unwrap();
    bot.look().await;
    assert_eq!(engine(&bot.store).await, ("swing".to_owned(), Source::Bot));
}
