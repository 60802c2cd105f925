//! A canary for key, secret and signatures: an exchange that repeats what it is sent, in every way to refuse and in every
//! field, and a search of all that a command leaves: both streams, and every byte of the folder.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use ledger_core::Side;

use crate::support::{Asked, Exchange, Habit, Parrot, Run, Sandbox, response};

const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

/// What must not be seen: each secret, and its beginning and end where it is long enough to be told from other words.
fn needles(signatures: BTreeSet<String>) -> Vec<String> {
    let all = signatures.into_iter().chain([KEY.to_owned(), SECRET.to_owned()]);
    let parts = |text: String| {
        let (head, tail) = (text[..14].to_owned(), text[text.len() - 14..].to_owned());
        [text, head, tail].map(|part| part.to_ascii_lowercase())
    };
    all.flat_map(parts).collect()
}

/// Looks through everything, and says where something was seen.
#[track_caller]
fn assert_unseen(what: &str, needles: &[String], runs: &[Run], sandbox: &Sandbox, but: &[&str]) {
    let files = sandbox.files();
    let streams = runs.iter().flat_map(|run| [("stdout", run.stdout.as_bytes()), ("stderr", run.stderr.as_bytes())]);
    let others = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).filter(|(name, _)| !but.contains(name));
    for (place, bytes) in streams.chain(others) {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        for needle in needles {
            if let Some(at) = text.find(needle.as_str()) {
                let from = text[..at].char_indices().rev().nth(150).map_or(0, |(from, _)| from);
                panic!("{what}: {place} shows `{needle}` after: {}", &text[from..at]);
            }
        }
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The ways to repeat: each makes an answer of what was asked, on paths that it chooses.
fn habits() -> Vec<(&'static str, Arc<Habit>)> {
    let notice = |status: &'static str, code: i64| -> Arc<Habit> {
        Arc::new(move |asked: &Asked, _: &str| {
            let body = format!(r#"{{"code":{code},"msg":{}}}"#, json_text(&asked.head));
            Some(response(status, "application/json", &body))
        })
    };
    let page = |status: &'static str, written: fn(&str) -> String| -> Arc<Habit> {
        Arc::new(move |asked: &Asked, _: &str| Some(response(status, "text/html", &written(&asked.head))))
    };
    let only = |path: &'static str, habit: Arc<Habit>| -> Arc<Habit> {
        Arc::new(move |asked: &Asked, body: &str| if asked.path == path { habit(asked, body) } else { None })
    };
    // In the place of every text of a good answer, one field after the other.
    let field = |name: &'static str| -> Arc<Habit> {
        Arc::new(move |asked: &Asked, body: &str| {
            let said = json_text(&format!("{KEY} {}", asked.signature));
            let name_of_text = format!("\"{name}\":\"");
            let mut parts = body.split(&name_of_text).map(str::to_owned);
            let first = parts.next().unwrap_or_default();
            let others = parts.map(|part| format!("\"{name}\":{said}{}", part.split_once('"').unwrap_or_default().1));
            let told = std::iter::once(first).chain(others).collect::<String>();
            Some(response("200 OK", "application/json", &told))
        })
    };
    let cut: Arc<Habit> = Arc::new(|asked: &Asked, _: &str| {
        let (key, signature) = (&KEY[..20], &asked.signature[asked.signature.len() - 20..]);
        let message = json_text(&format!("key {key}… is wrong, signature …{} too", signature.to_uppercase()));
        Some(response("400 Bad Request", "application/json", &format!(r#"{{"code":-1102,"msg":{message}}}"#)))
    });
    let redirect: Arc<Habit> = Arc::new(|asked: &Asked, _: &str| {
        let target = asked.head.split(' ').nth(1).unwrap_or_default();
        Some(format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://{KEY}.example{target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ))
    });
    let no_http: Arc<Habit> =
        Arc::new(|asked: &Asked, _: &str| Some(format!("HTTP/1.1 {KEY} {}\r\n\r\n", asked.signature)));
    let broken_json: Arc<Habit> = Arc::new(|asked: &Asked, _: &str| {
        Some(response("200 OK", &format!("text/{KEY}"), &format!(r#"[{{"symbol":{}"#, json_text(&asked.head))))
    });
    let encoded = |head: &str| head.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let references = |head: &str| head.bytes().map(|byte| format!("&#{byte};")).collect::<Vec<_>>().concat();
    vec![
        ("a refusal", notice("400 Bad Request", -1102)),
        ("a refused key", notice("401 Unauthorized", -2015)),
        ("a refused signature", notice("400 Bad Request", -1022)),
        ("a ban", notice("418 I'm a teapot", -1003)),
        ("a refusal of fills alone", only("/fapi/v1/userTrades", notice("400 Bad Request", -4000))),
        ("a closed contract", only("/fapi/v1/userTrades", notice("400 Bad Request", -1121))),
        ("a refusal of income alone", only("/fapi/v1/income", notice("400 Bad Request", -4000))),
        ("a firewall", page("403 Forbidden", |head| format!("<html>\u{1b}[2J{head}"))),
        (
            "a page in the place of fills",
            only("/fapi/v1/userTrades", page("404 Not Found", |head| format!("<p>{head}"))),
        ),
        ("a percent-encoded page", page("404 Not Found", encoded)),
        ("a page of references", page("404 Not Found", references)),
        ("a part of each", cut),
        ("a redirect", redirect),
        ("no HTTP", only("/fapi/v1/income", no_http)),
        ("broken JSON", only("/fapi/v1/income", broken_json)),
        ("an alias", field("accountAlias")),
        ("an asset", field("asset")),
        ("a symbol", field("symbol")),
        ("a client's id", field("clientOrderId")),
        ("a status", field("status")),
        ("a type", field("incomeType")),
        ("a price", field("price")),
    ]
}

/// An exchange, and whatever answers in its place, can repeat all that it was sent: neither a stream nor a file shows any of
/// it, however it is asked and however much detail is wanted.
#[test]
fn nothing_of_what_is_repeated_is_seen() {
    let exchange = Exchange::keyed(31, KEY, SECRET);
    exchange.trade("fb-one", "BTCUSDT", Side::Buy, "0.02");
    exchange.trade("fb-two", "ETHUSDT", Side::Sell, "0.5");
    let check = |what: &str, habit: Arc<Habit>| {
        let parrot = Parrot::before(&exchange.base_url, habit);
        let environment = [
            ("FILLBOOK_BASE_URL", parrot.base_url.as_str()),
            ("FILLBOOK_API_KEY", KEY),
            ("FILLBOOK_API_SECRET", SECRET),
        ];
        let sandbox = Sandbox::with_book(&[]);
        let mut logged = environment.to_vec();
        logged.push(("RUST_LOG", "trace"));
        let mut runs =
            vec![sandbox.command(&["sync", "-vvv"], &logged), sandbox.command(&["audit", "--json"], &environment)];
        assert!(!parrot.signatures().is_empty(), "{what}: {}", runs[0].transcript());
        for list in [&["status"][..], &["runs", "--json"], &["discrepancies", "--json"], &["orders", "--csv"]] {
            runs.push(sandbox.run(list));
        }
        assert_unseen(what, &needles(parrot.signatures()), &runs, &sandbox, &[]);
        let hidden = runs.iter().any(|run| run.stdout.contains("[API key]") || run.stderr.contains("[API key]"));
        (hidden, runs.iter().map(Run::transcript).collect::<String>())
    };
    let hidden: Vec<_> = std::thread::scope(|scope| {
        let habits = habits();
        let lanes: Vec<Vec<_>> = (0..4).map(|lane| habits.iter().skip(lane).step_by(4).cloned().collect()).collect();
        let lanes: Vec<_> = lanes
            .into_iter()
            .map(|lane| {
                scope
                    .spawn(move || lane.into_iter().map(|(what, habit)| (what, check(what, habit))).collect::<Vec<_>>())
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    // It is seen that it was there: a test in which nobody repeats anything proves nothing.
    let count = hidden.iter().filter(|(_, (hidden, _))| *hidden).count();
    assert!(count >= 12, "{:#?}", hidden.iter().filter(|(_, (hidden, _))| !*hidden).collect::<Vec<_>>());
}

/// A key or secret where a name, a path or an address belongs is refused, and not repeated: neither by value nor, where no
/// account is set up yet, by form.
#[test]
fn a_key_in_the_wrong_place_is_not_repeated() {
    let sandbox = Sandbox::with_book(&[]);
    let known = [("FILLBOOK_API_KEY", KEY), ("FILLBOOK_API_SECRET", SECRET)];
    let url = format!("https://{KEY}:{SECRET}@fapi.binance.com");
    let (path, flag) = (format!("books/{SECRET}.db"), format!("--symbol={KEY}"));
    let mut runs = Vec::new();
    for words in [
        &["status", "--account", KEY][..],
        &["status", "--db", &path],
        &["fills", &flag],
        &["import", KEY],
        &["sync", "--base-url", &url],
        &["sync", "--since", SECRET],
        &["trips", "--json", "--engine", KEY],
        &[KEY],
        &["status", "--no-such", &KEY[..30]],
    ] {
        let run = sandbox.command(words, &known).exits(2);
        assert!(run.stderr.contains("of the command line contains the API"), "{}", run.transcript());
        runs.push(run);
    }
    for (name, value) in [("FILLBOOK_ACCOUNT", KEY), ("FILLBOOK_DB", SECRET), ("FILLBOOK_BASE_URL", &url)] {
        let run = sandbox.command(&["status"], &[&known[..], &[(name, value)]].concat()).exits(2);
        assert!(run.stderr.contains(name), "{}", run.transcript());
        runs.push(run);
    }
    // Nothing is known by value: the form alone tells.
    for words in [
        &["status", "--account", KEY][..],
        &["status", &format!("--acount={KEY}")],
        &["fills", "--symbol", SECRET],
        &["sync", "--base-url", &url],
        &[KEY],
    ] {
        let run = sandbox.command(words, &[]);
        assert!(run.code != 0, "{}", run.transcript());
        runs.push(run);
    }
    for config in [
        format!("account = \"{KEY}\"\n"),
        format!("[accounts.{KEY}]\nvenue = \"other\"\n"),
        format!("{KEY} = 1\n"),
        format!("tz = \"{KEY}\"\n"),
        format!("[accounts.main]\nvenue = \"{SECRET}\"\n"),
        format!("[accounts.main]\napi_key = \"{KEY}\"\n"),
    ] {
        sandbox.write("fillbook.toml", config);
        runs.push(sandbox.run(&["status"]));
        assert!(runs.last().unwrap().code != 0, "{}", runs.last().unwrap().transcript());
    }
    // A file of credentials makes its key known, too.
    let file = sandbox.write("main.key", format!("api_key = {KEY}\napi_secret = {SECRET}\n"));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.write("fillbook.toml", "[accounts.main]\ncredentials_file = \"main.key\"\n");
    let by_file = sandbox.run(&["import", &KEY[..40]]).exits(2);
    assert!(by_file.stderr.contains("word 2 of the command line contains the API key"), "{}", by_file.transcript());
    runs.push(by_file);
    assert_unseen("a wrong place", &needles(BTreeSet::new()), &runs, &sandbox, &["main.key"]);
}
