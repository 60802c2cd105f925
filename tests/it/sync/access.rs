//! Who may look at what, and what keeps us out.

use super::{assert_same_fills, traded};
use crate::support::Sandbox;

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
    assert!(run.stdout.starts_with("Account good"), "{}", run.transcript());
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
