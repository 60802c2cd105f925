//! The demo over many seeds, without a network.

use std::sync::Arc;

use exchange_client::files::Zone;
use exchange_client::{Clock as _, SystemClock};
use ledger_core::AccountId;

use super::*;
use crate::config::Settings;
use crate::output::Output;

/// Whatever the seed, everything that was lost is restored, the books balance, and they are the exchange's.
#[tokio::test]
async fn every_seed_ends_in_balance() {
    let folder = tempfile::tempdir().unwrap();
    let begins = beginning(SystemClock.now()).unwrap();
    let mut stories = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let settings = Settings {
            db: folder.path().join("unused.db"),
            db_flag: None,
            account: AccountId::new("main").unwrap(),
            account_is_given: false,
            accounts: Vec::new(),
            weight_percent: None,
            zone: None,
            zone_flag: None,
        };
        let told = Told::default();
        let output = Output::new(Format::Json, Zone::utc(), Box::new(told.clone()), Box::new(std::io::stderr()));
        let mut context = Context { settings, output, clock: Arc::new(SystemClock), program: "fillbook".into() };
        let db = folder.path().join(format!("{seed}.db"));
        let world = demo_world(seed, begins, Some(&db), DemoConnection::InProcess).await.unwrap();
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
        stories.insert(told["lost"].to_string());
    }
    assert!(stories.len() > 15, "the seed must vary the story");
}

/// What a command printed.
#[derive(Clone, Default)]
struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl Told {
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
