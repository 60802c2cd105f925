//! The demo over many seeds, without a network.

use std::sync::Arc;

use exchange_client::ManualClock;
use exchange_client::Secrets;
use exchange_client::files::Zone;
use ledger_core::AccountId;

use super::*;
use crate::config::Settings;
use crate::input::Input;
use crate::output::{Output, Screen};

/// Whatever the seed, everything that was lost is restored, the books balance, and they are the exchange's.
#[tokio::test]
async fn every_seed_ends_in_balance() {
    let folder = tempfile::tempdir().unwrap();
    let mut stories = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let told = Told::default();
        let mut context = told.context(Format::Json, folder.path().join("unused.db"), beginning().unwrap());
        let db = folder.path().join(format!("{seed}.db"));
        let world = demo_world(seed, beginning().unwrap(), Some(&db), DemoConnection::InProcess).await.unwrap();
        let ending = tell(seed, &world, &mut context).await.unwrap();
        context.output.flush().unwrap();
        let told = told.text();
        assert_eq!(ending.exit_code, ExitCode::Fine, "seed {seed}: {told}");
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let cases: std::collections::BTreeSet<_> =
            told["lost"].as_array().unwrap().iter().map(|lost| lost["case"].as_str().unwrap().to_owned()).collect();
        assert!(cases.len() >= 5, "{cases:?}");
        let number = |key: &str| told[key].as_u64().unwrap();
        assert!(number("book_fills_before") < number("exchange_fills") && number("repairs") > 10, "{told}");
        let watched = |key: &str| told["watched"][key].as_u64().unwrap();
        assert!(watched("brought") > watched("dropped") && watched("dropped") > 1, "{told}");
        assert_eq!(watched("fills"), watched("brought") + watched("dropped"), "{told}");
        assert_eq!(watched("restored"), watched("dropped"), "{told}");
        assert_eq!(told["watched"]["dropped_of"].as_array().unwrap().len(), 2, "of each account: {told}");
        stories.insert(told["lost"].to_string());
    }
    assert!(stories.len() > 15, "the seed must vary the story");
}

/// The same seed tells the same story, word for word, and leaves the same facts, whatever the machine's date and hour are.
#[tokio::test]
async fn a_seed_tells_one_story_on_any_day() {
    let folder = tempfile::tempdir().unwrap();
    let mut stories = Vec::new();
    // The evening of a leap day; the hour that comes twice in Europe, years later.
    for (nth, now_ms) in [1_709_251_190_000, 1_887_670_800_000].into_iter().enumerate() {
        let db = folder.path().join(format!("{nth}.db"));
        let told = Told::default();
        let mut context = told.context(Format::Table, db.clone(), TimestampMs::new(now_ms).unwrap());
        assert_eq!(run(&DemoArgs { seed: 7 }, &mut context).await.unwrap(), ExitCode::Fine);
        context.output.flush().unwrap();
        let (before, address) =
            told.text().split_once("127.0.0.1:").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let story = format!("{before}{}", address.trim_start_matches(|c: char| c.is_ascii_digit()));
        let settings = Settings { db, ..context.settings.clone() };
        let store = crate::wiring::open_for_reading(&settings).await.unwrap();
        let mut fills = Vec::new();
        for account in ["main", "hedge"] {
            let filter = FillFilter::from(Scope::account(AccountId::new(account).unwrap()));
            fills.push(store.fills(&filter, ledger_store::PageRequest::first(1_000)).await.unwrap().items);
        }
        assert!(!fills[0].is_empty() && !fills[1].is_empty());
        stories.push((story.replace(&format!("{nth}.db"), "demo.db"), fills));
    }
    assert_eq!(stories[0], stories[1]);
}

/// What a command printed.
#[derive(Clone, Default)]
struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl Told {
    /// A context that prints here, with the machine's clock at `now`.
    fn context(&self, format: Format, db: std::path::PathBuf, now: TimestampMs) -> Context {
        let settings = Settings {
            db_flag: Some(db.clone()),
            db,
            account: AccountId::new("main").unwrap(),
            account_is_given: false,
            accounts: Vec::new(),
            weight_percent: None,
            freshness: ledger_core::FreshnessLimits::default(),
            tell: None,
            ids: crate::config::IdWording::default(),
            zone: None,
            zone_flag: None,
        };
        let output = Output::new(format, Zone::utc(), self.screen(), self.screen());
        let input = Input::new(Box::new(std::io::empty()));
        Context { settings, output, input, clock: Arc::new(ManualClock::new(now)), program: "fillbook".into() }
    }

    fn screen(&self) -> Screen {
        Screen::new(Box::new(self.clone()), Secrets::default())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
