//! `sync` and `audit` against an exchange over HTTP, and what they leave in the journal.

use std::io::{BufRead as _, Read as _};
use std::process::{Command, Stdio};

use exchange_client::simulator::FaultProfile;
use ledger_core::Side;

use crate::support::{Exchange, Proxy, Sandbox};

/// Two symbols, one position open, one closed.
fn traded(seed: u64) -> Exchange {
    let exchange = Exchange::start(seed);
    exchange.trade("fb-one", "BTCUSDT", Side::Buy, "0.02");
    exchange.trade("fb-two", "ETHUSDT", Side::Sell, "0.5");
    exchange.trade("fb-three", "ETHUSDT", Side::Buy, "0.5");
    exchange
}

/// The trade ids of the exchange's own books and of the book.
#[track_caller]
fn assert_same_fills(exchange: &Exchange, sandbox: &Sandbox) {
    let books = exchange.simulator.books();
    let mut truth: Vec<String> =
        books.accounts[0].trades.iter().map(|trade| format!("{} {} {}", trade.symbol, trade.id, trade.qty)).collect();
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    let mut found: Vec<String> = fills
        .iter()
        .map(|fill| {
            let text = |key: &str| fill[key].as_str().unwrap().to_owned();
            format!("{} {} {}", text("symbol"), text("fill_id"), text("qty"))
        })
        .collect();
    truth.sort();
    found.sort();
    assert_eq!(truth, found);
}

/// From flags and environment alone, in an empty folder: a book with the account's history, and a second run that finds
/// nothing.
#[test]
fn a_first_sync_makes_the_book() {
    let exchange = traded(1);
    let sandbox = Sandbox::empty();
    let run = sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert!(run.stderr.contains("Account main is new in fillbook.db"), "{}", run.transcript());
    assert!(run.stdout.contains("restore_order") && run.stdout.contains("Left       nothing"), "{}", run.transcript());
    assert_same_fills(&exchange, &sandbox);
    let status = sandbox.run(&["status"]).exits(0).stdout;
    assert!(status.contains(&exchange.base_url), "{status}");
    assert!(status.contains("Last sync") && status.contains("done"), "{status}");

    // The address is remembered; the book is not asked for it again.
    let [_, key, secret] = exchange.environment();
    let again = sandbox.command(&["sync", "--json"], &[key, secret]).exits(0);
    let summary = again.json().pop().unwrap();
    assert_eq!((&summary["schema"], &summary["command"]), (&"fillbook.reconcile/1".into(), &"sync".into()));
    assert_eq!((&summary["left"], &summary["repairs"]), (&0.into(), &0.into()), "{summary}");
    assert!(summary["requests"].as_u64().unwrap() > 0 && summary["weight"].as_u64().unwrap() > 0, "{summary}");
    sandbox.command(&["audit"], &[key, secret]).exits(0);
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
}

/// The audit finds what the sync would repair, and not a byte of the folder changes, nor does a file come or go.
#[test]
fn audit_changes_nothing_and_exits_3() {
    let exchange = traded(2);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.trade("fb-five", "BTCUSDT", Side::Sell, "0.02");
    let before = sandbox.files();
    let table = sandbox.command(&["audit"], &exchange.environment()).exits(3);
    assert!(table.stdout.contains("nothing is changed"), "{}", table.transcript());
    let json = sandbox.command(&["audit", "--json"], &exchange.environment()).exits(3).json();
    let csv = sandbox.command(&["audit", "--csv"], &exchange.environment()).exits(3).stdout;
    assert!(before == sandbox.files(), "an audit touched the folder: {:?}", sandbox.files().keys());
    let findings: Vec<_> = json.iter().filter(|line| line["schema"] == "fillbook.reconcile.finding/1").collect();
    assert!(findings.iter().any(|found| found["symbol"] == "SOLUSDT"), "{findings:?}");
    assert!(findings.iter().any(|found| found["symbol"] == "BTCUSDT"), "{findings:?}");
    assert!(findings.iter().all(|found| !found["evidence"].as_str().unwrap().is_empty()), "{findings:?}");
    assert_eq!(csv.lines().count(), findings.len() + 1, "{csv}");
}

/// `--symbol` narrows what is looked at and what is repaired; the rest waits for a whole sync.
#[test]
fn a_narrowed_sync_leaves_the_rest_alone() {
    let exchange = traded(9);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.trade("fb-five", "BTCUSDT", Side::Sell, "0.02");
    let narrow = sandbox.command(&["audit", "--json", "--symbol", "SOLUSDT"], &exchange.environment()).exits(3).json();
    let symbols: Vec<_> = narrow.iter().filter_map(|line| line["symbol"].as_str()).collect();
    assert!(!symbols.is_empty() && symbols.iter().all(|symbol| *symbol == "SOLUSDT"), "{narrow:?}");
    sandbox.command(&["sync", "--symbol", "SOLUSDT"], &exchange.environment()).exits(0);
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    let of = |symbol: &str| fills.iter().filter(|fill| fill["symbol"] == symbol).count();
    let truth = exchange.simulator.books();
    let at_exchange = |symbol: &str| truth.accounts[0].trades.iter().filter(|trade| trade.symbol == symbol).count();
    assert_eq!(of("SOLUSDT"), at_exchange("SOLUSDT"));
    assert!(of("BTCUSDT") < at_exchange("BTCUSDT"), "{fills:?}");
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_same_fills(&exchange, &sandbox);
}

/// Every way not to get in: the exit code tells, the message says what to do, nothing is written, no secret is shown.
#[test]
fn what_keeps_us_out_is_told_apart() {
    let mut exchange = traded(3);
    let sandbox = Sandbox::empty();
    let [url, key, secret] = exchange.environment().map(|(name, value)| (name, value.to_owned()));
    let run = |environment: &[&(&str, String)]| {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        sandbox.command(&["sync"], &environment)
    };
    let unset = run(&[&url, &key]).exits(4);
    assert!(unset.stderr.contains("FILLBOOK_API_SECRET is not set"), "{}", unset.transcript());
    let wrong = run(&[&url, &key, &("FILLBOOK_API_SECRET", "not-the-secret".to_owned())]).exits(4);
    assert!(wrong.stderr.contains("-1022") && wrong.stderr.contains("try:"), "{}", wrong.transcript());
    assert!(!wrong.stderr.contains("not-the-secret") && !wrong.stderr.contains(&key.1), "{}", wrong.transcript());
    let plain = run(&[&("FILLBOOK_BASE_URL", "http://example.com".to_owned()), &key, &secret]).exits(1);
    assert!(plain.stderr.contains("https"), "{}", plain.transcript());
    let audit = sandbox.command(&["audit"], &exchange.environment()).exits(1);
    assert!(
        audit.stderr.contains("there is no book") && audit.stderr.contains("fillbook sync"),
        "{}",
        audit.transcript()
    );
    exchange.stop();
    let gone = run(&[&url, &key, &secret]).exits(5);
    assert!(gone.stderr.contains("cannot be reached"), "{}", gone.transcript());
    assert_eq!(gone.stderr.matches("because:").count(), 1, "{}", gone.stderr);
    assert!(sandbox.files().is_empty(), "{:?}", sandbox.files().keys());
}

/// A name that neither book nor configuration knows does not become an account of an existing book.
#[test]
fn a_mistyped_account_is_not_made() {
    let exchange = traded(4);
    let sandbox = Sandbox::with_book(&[]);
    let run = sandbox.command(&["sync", "--account", "mian"], &exchange.environment()).exits(1);
    assert!(run.stderr.contains("no account `mian`") && run.stderr.contains("main"), "{}", run.transcript());
}

/// All accounts of the configuration, one after the other; the one that cannot get in stops none of the others.
#[test]
fn one_bad_account_stops_no_other() {
    let exchange = traded(5);
    let sandbox = Sandbox::empty();
    let [(_, url), (_, key), (_, secret)] = exchange.environment();
    sandbox.write(
        "fillbook.toml",
        format!(
            "[accounts.bad]\nbase_url = \"{url}\"\napi_key_env = \"BAD_KEY\"\napi_secret_env = \"BAD_SECRET\"\n\
             [accounts.good]\nbase_url = \"{url}\"\napi_key_env = \"GOOD_KEY\"\napi_secret_env = \"GOOD_SECRET\"\n"
        ),
    );
    let environment =
        [("BAD_KEY", key), ("BAD_SECRET", "no-secret-of-mine"), ("GOOD_KEY", key), ("GOOD_SECRET", secret)];
    let run = sandbox.command(&["sync"], &environment).exits(4);
    assert!(run.stderr.contains("account bad: error:") && run.stderr.contains("-1022"), "{}", run.transcript());
    assert!(run.stdout.contains("Account good at"), "{}", run.transcript());
    assert!(!run.stderr.contains("no-secret-of-mine"), "{}", run.transcript());
    let fills = sandbox.run(&["fills", "--account", "good", "--json"]).exits(0).json();
    assert_eq!(fills.len(), exchange.simulator.books().accounts[0].trades.len());
    let lines = sandbox.command(&["audit", "--json"], &environment).json();
    assert!(lines.iter().any(|line| line["schema"] == "fillbook.reconcile.error/1" && line["account"] == "bad"));
    sandbox.command(&["sync", "--account", "good"], &environment).exits(0);
    let several = sandbox.command(&["sync", "--base-url", url], &environment).exits(2);
    assert!(several.stderr.contains("--account"), "{}", several.transcript());
    sandbox.write("fillbook.toml", "[accounts.files]\nvenue = \"other\"\n");
    let other = sandbox.command(&["sync"], &[("FILLBOOK_API_KEY", key), ("FILLBOOK_API_SECRET", secret)]).exits(1);
    assert!(other.stderr.contains("fillbook import"), "{}", other.transcript());
    sandbox.write("fillbook.toml", "[accounts.files]\nvenue = \"binance\"\n");
    assert!(sandbox.run(&["sync"]).exits(1).stderr.contains("known are binance_usdm"));
}

/// Credentials from a file, which only its owner may read, and from the service manager.
#[test]
fn credentials_come_from_files_that_only_their_owner_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let exchange = traded(8);
    let sandbox = Sandbox::empty();
    let [(_, url), (_, key), (_, secret)] = exchange.environment();
    let file = sandbox.write("main.key", format!("api_key = {key}\napi_secret = {secret}\n"));
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    sandbox.write("fillbook.toml", format!("[accounts.main]\nbase_url = \"{url}\"\ncredentials_file = \"main.key\"\n"));
    mode(0o644);
    let open = sandbox.run(&["sync"]).exits(4);
    assert!(open.stderr.contains("main.key") && open.stderr.contains("600"), "{}", open.transcript());
    assert!(!open.stderr.contains(secret), "{}", open.transcript());
    mode(0o600);
    sandbox.run(&["sync"]).exits(0);
    assert_same_fills(&exchange, &sandbox);

    let service = format!("[accounts.main]\nbase_url = \"{url}\"\nsystemd_credential = \"main.key\"\n");
    sandbox.write("fillbook.toml", service);
    let outside = sandbox.run(&["sync"]).exits(4);
    assert!(
        outside.stderr.contains("CREDENTIALS_DIRECTORY") && outside.stderr.contains("LoadCredential"),
        "{}",
        outside.stderr
    );
    let folder = sandbox.path().to_str().unwrap();
    sandbox.command(&["sync"], &[("CREDENTIALS_DIRECTORY", folder)]).exits(0);

    let both = "[accounts.main]\ncredentials_file = \"main.key\"\nsystemd_credential = \"main.key\"\n";
    sandbox.write("fillbook.toml", both);
    assert!(sandbox.run(&["sync"]).exits(1).stderr.contains("several sources"));
}

/// A secret that somebody put into the configuration is not repeated by the complaint about it.
#[test]
fn a_secret_in_the_configuration_is_refused_and_not_shown() {
    let sandbox = Sandbox::empty();
    sandbox.write("fillbook.toml", "db = \"a.db\"\n[accounts.main]\napi_secret = \"very-secret-indeed\"\n");
    let run = sandbox.run(&["status"]).exits(1);
    assert!(run.stderr.contains("api_secret") && run.stderr.contains("line 3"), "{}", run.transcript());
    assert!(!run.stderr.contains("very-secret-indeed"), "{}", run.transcript());
}

/// A crashed bot leaves its write-ahead log beside the book: the audit reads what is in it, and changes neither.
#[test]
fn an_audit_beside_a_crashed_writer_changes_nothing() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let exchange = traded(10);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let book = sandbox.path().join("fillbook.db");
    let mut writer = SqliteConnection::establish(book.to_str().unwrap()).unwrap();
    // A fill that only the log knows of: the last one is gone.
    writer.batch_execute("DELETE FROM fills WHERE rowid = (SELECT max(rowid) FROM fills)").unwrap();
    let crashed = Sandbox::empty();
    for name in ["fillbook.db", "fillbook.db-wal"] {
        std::fs::copy(sandbox.path().join(name), crashed.path().join(name)).unwrap();
    }
    drop(writer);
    let before = crashed.files();
    assert!(!before["fillbook.db-wal"].is_empty());
    let run = crashed.command(&["audit"], &exchange.environment()).exits(3);
    assert!(run.stdout.contains("missing_fills"), "{}", run.transcript());
    let after = crashed.files();
    for name in ["fillbook.db", "fillbook.db-wal"] {
        assert!(before[name] == after[name], "{name} changed");
    }
}

/// Which strategy it was, from the bot's own files: its log of entries, then its state. What cannot be read of them is
/// named, and stops nothing.
#[test]
fn labels_come_from_the_bots_own_files() {
    let exchange = Exchange::start(11);
    exchange.trade("job-1", "BTCUSDT", Side::Buy, "0.02");
    exchange.trade("job-2", "ETHUSDT", Side::Sell, "0.5");
    let sandbox = Sandbox::empty();
    let engine = |symbol: &str| {
        let orders = sandbox.run(&["orders", "--json", "--symbol", symbol]).exits(0).json();
        orders[0]["engine"].as_str().map(str::to_owned)
    };
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_eq!((engine("BTCUSDT"), engine("ETHUSDT")), (None, None));
    let order = sandbox.run(&["orders", "--json", "--symbol", "BTCUSDT"]).exits(0).json()[0]["order_id"].clone();
    let entry = format!(
        r#"{{"ts": 1772344800, "symbol": "BTC/USDT:USDT", "side": "LONG", "engine": "swing", "order_id": {order}}}"#
    );
    sandbox.write("entries.log", format!("{entry}\n{{broken\n"));
    sandbox.write("state.json", r#"{"ETH/USDT:USDT": {"in_pos": true, "meta": {"reason": "reversal"}}}"#);
    let missing = sandbox.command(&["sync", "--entry-events", "nowhere.log"], &exchange.environment()).exits(1);
    assert!(missing.stderr.contains("nowhere.log"), "{}", missing.transcript());
    sandbox.write("other.txt", "not what was meant\n");
    for option in ["--entry-events", "--state"] {
        let other = sandbox.command(&["sync", option, "other.txt"], &exchange.environment()).exits(1);
        assert!(other.stderr.contains("nothing in other.txt can be used"), "{}", other.transcript());
    }
    let files = ["--entry-events", "entries.log", "--state", "state.json"];
    sandbox.command(&[&["audit"], &files[..]].concat(), &exchange.environment()).exits(3);
    let run = sandbox.command(&[&["sync"], &files[..]].concat(), &exchange.environment()).exits(0);
    assert!(run.stderr.contains("entries.log, line 2: not used"), "{}", run.transcript());
    assert!(run.stdout.contains("label_order"), "{}", run.transcript());
    assert_eq!((engine("BTCUSDT").as_deref(), engine("ETHUSDT").as_deref()), (Some("swing"), Some("reversal")));
}

/// An exchange that drops, delays, throttles and garbles by chance: whatever a run could not read the next one reads, the
/// book stays sound, and in the end it is the exchange's.
#[test]
fn a_bad_day_of_the_exchange_ends_well() {
    let exchange = traded(12);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.simulator.set_faults(FaultProfile::flaky());
    for _ in 0..3 {
        let run = sandbox.command(&["sync", "--json"], &exchange.environment());
        assert!([0, 3, 5].contains(&run.code), "{}", run.transcript());
        // A partly answered look says so in its exit code.
        let summary = run.json().into_iter().find(|line| line["schema"] == "fillbook.reconcile/1");
        let unanswered = summary.is_some_and(|summary| !summary["not_answered"].as_array().unwrap().is_empty());
        assert!(!unanswered || run.code != 0, "{}", run.transcript());
    }
    exchange.simulator.set_faults(FaultProfile::none());
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_same_fills(&exchange, &sandbox);
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
}

/// The user's word about the position mode, and the exchange says otherwise: told, on record, and in the exit code.
#[test]
fn a_word_that_the_exchange_contradicts_is_told() {
    let exchange = traded(14);
    let sandbox = Sandbox::with_book(&["--position-mode", "hedge"]);
    let run = sandbox.command(&["sync"], &exchange.environment()).exits(3);
    assert!(run.stdout.contains("was said to be hedge, but the exchange's answer"), "{}", run.transcript());
    sandbox.run(&["init", "--position-mode", "one-way"]).exits(0);
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
}

/// A contract that is gone answers with errors for ever: that is told, stays on record with its age, and stops no other.
#[test]
fn a_contract_that_answers_no_more_stops_no_other() {
    let exchange = traded(13);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.simulator.delist_contract(&ledger_core::Symbol::new("SOLUSDT").unwrap()).unwrap();
    let sandbox = Sandbox::empty();
    let run = sandbox.command(&["sync"], &exchange.environment()).exits(3);
    assert!(run.stdout.contains("SOLUSDT") && run.stdout.contains("-4141"), "{}", run.transcript());
    let of = |symbol: &str| {
        let fills = sandbox.run(&["fills", "--json", "--symbol", symbol]).exits(0).json();
        let truth = exchange.simulator.books();
        (fills.len(), truth.accounts[0].trades.iter().filter(|trade| trade.symbol == symbol).count())
    };
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let (found, truth) = of(symbol);
        assert!(found == truth && found > 0, "{symbol}: {found} of {truth}");
    }
    let left = sandbox.run(&["discrepancies", "--json", "--symbol", "SOLUSDT"]).exits(0).json();
    assert!(!left.is_empty(), "{}", run.transcript());
    let again = sandbox.command(&["sync"], &exchange.environment()).exits(3);
    assert!(again.stdout.contains("SOLUSDT"), "{}", again.transcript());
    // The audit promises no repair of what a sync cannot repair, and counts what it can.
    let to_do = |audit: &str| audit.lines().find(|line| line.starts_with("To do")).unwrap().to_owned();
    let audit = to_do(&sandbox.command(&["audit"], &exchange.environment()).exits(3).stdout);
    assert!(audit.contains("a sync does not repair") && !audit.contains("`fillbook sync`"), "{audit}");
    exchange.trade("fb-five", "ETHUSDT", Side::Buy, "0.5");
    let audit = to_do(&sandbox.command(&["audit"], &exchange.environment()).exits(3).stdout);
    assert!(audit.contains("a sync does not repair") && audit.contains("`fillbook sync` repairs"), "{audit}");
}

/// Ctrl-C while an exchange keeps us waiting: the book is sound, and the next run goes on.
#[test]
fn an_interrupted_sync_leaves_a_sound_book() {
    let exchange = traded(6);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-later", "SOLUSDT", Side::Buy, "3");
    for signal in ["-INT", "-TERM"] {
        // Takes connections and never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let mut environment = exchange.environment();
        environment[0].1 = &url;
        let mut child =
            sandbox.prepared(&["sync"], &environment).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut request = [0_u8; 64];
        let (mut connection, _) = silent.accept().unwrap();
        let read = connection.read(&mut request).unwrap();
        assert!(read > 0, "it asks, so it listens for signals by now");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}: {told}");
        assert!(told.contains("the next run goes on"), "{told}");
    }
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_same_fills(&exchange, &sandbox);
}

/// Ctrl-C after any answer of the exchange, the last ones included, when the book is being written: what is there is
/// sound, and the next run brings the rest.
#[test]
fn a_sync_can_be_interrupted_anywhere() {
    let exchange = traded(15);
    let proxy = Proxy::before(&exchange.base_url);
    let mut environment = exchange.environment();
    environment[0].1 = &proxy.base_url;
    let whole = Sandbox::empty();
    whole.command(&["sync"], &environment).exits(0);
    let requests = proxy.take_count();
    let facts = |sandbox: &Sandbox| {
        let list = |list: &[&str]| sandbox.run(&[list, &["--json"]].concat()).exits(0).stdout;
        (list(&["fills"]), list(&["trips"]), list(&["income"]))
    };
    let mut interrupted = 0;
    let steps = (1..requests).step_by(7).chain([requests - 2, requests - 1, requests]);
    for nth in steps {
        let sandbox = Sandbox::empty();
        proxy.choose(nth);
        let mut command = sandbox.prepared(&["sync", "--quiet"], &environment);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(proxy.wait());
        let id = child.id().to_string();
        let _gone_by_itself = Command::new("kill").args(["-INT", &id]).stderr(Stdio::null()).status().unwrap();
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(130 | 0)), "request {nth}: {code:?} {told}");
        interrupted += usize::from(code == Some(130));
        if sandbox.path().join("fillbook.db").exists() {
            let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
            assert!(runs.iter().all(|run| run["status"] != "running"), "request {nth}: {runs:?}");
            assert!(!sandbox.run(&["verify"]).stdout.contains("FAIL"), "request {nth}");
        }
        proxy.choose(usize::MAX);
        sandbox.command(&["sync"], &environment).exits(0);
        assert_eq!(facts(&sandbox), facts(&whole), "request {nth}");
    }
    assert!(interrupted > 3, "only {interrupted} runs were interrupted");
}

/// A first sync that is interrupted while it looks has bound the account: the next one asks the same exchange, and no other
/// with this key. Nothing was recorded, and nothing else is said.
#[test]
fn an_interrupted_first_sync_stays_with_its_exchange() {
    let exchange = traded(16);
    let proxy = Proxy::before(&exchange.base_url);
    let [_, key, secret] = exchange.environment();
    for made_before in [false, true] {
        let sandbox = if made_before { Sandbox::with_book(&[]) } else { Sandbox::empty() };
        proxy.choose(6);
        let mut command = sandbox.prepared(&["sync", "--base-url", &proxy.base_url], &[key, secret]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(proxy.wait());
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(told.contains("before anything was recorded") && !told.contains("stays"), "{told}");
        proxy.choose(usize::MAX);
        let next = sandbox.command(&["sync"], &[key, secret]).exits(0);
        assert!(next.stdout.contains(&proxy.base_url), "{}", next.transcript());
        assert_same_fills(&exchange, &sandbox);
    }
}

/// A run that waits for the next minute's request weight says so, also where there is no terminal.
#[test]
fn waiting_for_request_weight_is_told() {
    let exchange = traded(19);
    let sandbox = Sandbox::empty();
    let mut command = sandbox.prepared(&["sync", "--weight-percent", "1"], &exchange.environment());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find(|line| line.contains("waiting until"));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(told.is_some_and(|told| told.contains("for request weight")));
    assert!(lines.all(|line| !line.contains("waiting until")), "it is told once");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Two accounts of a book are never one account of the exchange.
#[test]
fn an_exchange_account_is_bound_once() {
    let exchange = traded(17);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    sandbox.run(&["init", "--account", "second"]).exits(0);
    let before = sandbox.run(&["status", "--account", "second", "--json"]).exits(0).stdout;
    for command in ["sync", "audit"] {
        let run = sandbox.command(&[command, "--account", "second"], &exchange.environment()).exits(4);
        assert!(run.stderr.contains("`main`") && run.stderr.contains("try:"), "{}", run.transcript());
    }
    assert_eq!(sandbox.run(&["status", "--account", "second", "--json"]).exits(0).stdout, before);
}

/// A contract that neither knows is a typing error, and one that only the exchange knows is none; a time to come is one.
#[test]
fn what_cannot_be_looked_at_is_a_usage_error() {
    let exchange = traded(18);
    let sandbox = Sandbox::empty();
    let typo = sandbox.command(&["sync", "--symbol", "BTCUSTD"], &exchange.environment()).exits(2);
    assert!(typo.stderr.contains("did you mean BTCUSDT?"), "{}", typo.transcript());
    assert!(sandbox.files().is_empty());
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let before = sandbox.files();
    for command in ["audit", "sync"] {
        let typo = sandbox.command(&[command, "--symbol", "ETHUSTD"], &exchange.environment()).exits(2);
        assert!(typo.stderr.contains("did you mean ETHUSDT?") && typo.stdout.is_empty(), "{}", typo.transcript());
        let future = sandbox.command(&[command, "--since", "2100-01-01"], &exchange.environment()).exits(2);
        assert!(future.stderr.contains("--since is 2100-01-01"), "{}", future.transcript());
    }
    sandbox.command(&["audit", "--symbol", "SOLUSDT"], &exchange.environment()).exits(0);
    assert!(before == sandbox.files());
}

/// What was done and why is in the journal, and can be narrowed.
#[test]
fn the_journal_tells_what_was_done_and_why() {
    let exchange = traded(7);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs.iter().all(|run| run["kind"] == "sync" && run["status"] == "done"), "{runs:?}");
    assert!(runs[0]["detail"]["repairs"].as_u64().unwrap() > 0, "{runs:?}");
    assert!(sandbox.run(&["runs", "--kind", "import", "--json"]).exits(0).stdout.is_empty());
    let first = runs[0]["run"].to_string();
    let repairs = sandbox.run(&["repairs", "--json"]).exits(0).json();
    assert!(!repairs.is_empty() && repairs.iter().all(|repair| !repair["cause"].as_str().unwrap().is_empty()));
    assert_eq!(sandbox.run(&["repairs", "--json", "--run", &first]).exits(0).json(), repairs);
    let eth = sandbox.run(&["repairs", "--json", "--symbol", "ETHUSDT"]).exits(0).json();
    assert!(!eth.is_empty() && eth.len() < repairs.len(), "{eth:?}");
    let one = repairs[0]["discrepancy"].to_string();
    assert!(!sandbox.run(&["repairs", "--json", "--discrepancy", &one]).exits(0).stdout.is_empty());

    assert!(sandbox.run(&["discrepancies", "--json"]).exits(0).stdout.is_empty(), "all are resolved");
    let all = sandbox.run(&["discrepancies", "--all", "--json"]).exits(0).json();
    assert!(!all.is_empty() && all.iter().all(|found| found["status"] == "resolved"), "{all:?}");
    assert!(all.iter().all(|found| found["first_seen_local"].is_i64() && found["evidence"].is_string()), "{all:?}");
    for command in [&["runs"][..], &["repairs"], &["discrepancies", "--all"]] {
        for width in ["40", "80", "120"] {
            let run = sandbox.command(command, &[("COLUMNS", width)]).exits(0);
            let widest = run.stdout.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width.parse().unwrap(), "{command:?} at {width}:\n{}", run.stdout);
        }
    }
}

/// A disagreement between sources fails the check until somebody says, with a reason, that it may stay.
#[test]
fn a_discrepancy_can_be_acknowledged_with_a_reason() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let header = "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id";
    for (name, price, code) in [("one.csv", "60000", 0), ("other.csv", "59999", 3)] {
        let row = format!("7,2026-03-01 08:00:00,BTCUSDT,BUY,BOTH,{price},0.010,600,0.24USDT,0,true,false,1,9001");
        sandbox.write(name, format!("{header}\n{row}\n"));
        sandbox.run(&["import", name]).exits(code);
    }
    sandbox.run(&["verify"]).exits(3);
    let open = sandbox.run(&["discrepancies", "--json", "--kind", "conflicting_fact"]).exits(0).json();
    assert_eq!(open.len(), 1, "{open:?}");
    let number = open[0]["discrepancy"].to_string();
    sandbox.run(&["discrepancies", "--acknowledge", &number]).exits(2);
    sandbox.run(&["discrepancies", "--acknowledge", "999", "--reason", "x"]).exits(1);
    let word = ["discrepancies", "--acknowledge", &number, "--reason", "the support confirmed 60000", "--by", "kim"];
    let said = sandbox.run(&word).exits(0);
    assert!(said.stdout.contains("acknowledged by kim"), "{}", said.transcript());
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
    let stays = sandbox.run(&["discrepancies", "--json"]).exits(0).json();
    assert_eq!(stays[0]["status"], "acknowledged");
    let repairs = sandbox.run(&["repairs", "--json"]).exits(0).json();
    let journaled = repairs.last().unwrap().to_string();
    assert!(journaled.contains("kim") && journaled.contains("the support confirmed 60000"), "{journaled}");
    // Importing the same again changes nothing about it.
    sandbox.run(&["import", "other.csv"]);
    assert_eq!(sandbox.run(&["discrepancies", "--json"]).exits(0).json()[0]["status"], "acknowledged");
}
