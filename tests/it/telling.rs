//! `fillbook watch` tells, and `fillbook tell`: the real process, and receivers that fail, want to be left alone, and hang.
#![expect(clippy::disallowed_methods, reason = "real processes are waited for, by the machine's own clock")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger_core::Side;
use serde_json::Value;

use crate::support::{Exchange, Sandbox, Signal, send};

/// However slow the machine: what does not happen in that will not.
const PATIENCE: Duration = Duration::from_mins(3);
/// What must be seen nowhere.
const TOKEN: &str = "7012345678:AAH4lWFsOr6aKE2zvsw0MuIgwCIPy6utIco";
const HOOK: &str = "/hooks/vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv";
const STUCK: &str = "/services/T0000/B0000/NhqPtmdSJYdKjVHjA7PZj4Mge";
const BEAT: &str = "/ping/5f1c2d3e-aaaa-bbbb-cccc-0123456789ab";

/// What arrived: the request line, and the body.
type Arrived = Arc<Mutex<Vec<(String, String)>>>;

/// Answers of a receiver, by the request line and how often it was asked there.
type Habit = dyn Fn(&str, usize) -> Option<String> + Send + Sync;

/// A receiver on this machine; where its habit says nothing it hangs.
struct Receiver {
    base_url: String,
    arrived: Arrived,
}

impl Receiver {
    fn start(habit: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arrived::default();
        let (habit, noted): (Arc<Habit>, Arrived) = (Arc::new(habit), Arc::clone(&arrived));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (habit, noted) = (Arc::clone(&habit), Arc::clone(&noted));
                std::thread::spawn(move || serve(stream, &*habit, &noted));
            }
        });
        Self { base_url, arrived }
    }

    fn bodies(&self, path: &str) -> Vec<String> {
        let arrived = self.arrived.lock().unwrap();
        arrived.iter().filter(|(line, _)| line.contains(path)).map(|(_, body)| body.clone()).collect()
    }

    /// The events that the webhook was given.
    fn events(&self) -> Vec<Value> {
        let bodies = self.bodies(HOOK).into_iter().map(|body| serde_json::from_str::<Value>(&body).unwrap());
        bodies.flat_map(|body| body["events"].as_array().unwrap().clone()).collect()
    }

    fn ids(&self) -> BTreeSet<String> {
        self.events().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn serve(mut stream: TcpStream, habit: &Habit, noted: &Arrived) {
    let Some((line, body)) = read(&mut stream) else { return };
    let nth = {
        let mut noted = noted.lock().unwrap();
        noted.push((line.clone(), body));
        noted.iter().filter(|(known, _)| *known == line).count()
    };
    match habit(&line, nth) {
        Some(answer) => {
            let _sent = stream.write_all(answer.as_bytes());
        }
        // Until the other side gives up.
        None => {
            let _ended = stream.read(&mut [0; 16]);
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        seen.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lengths = head
            .lines()
            .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if body.len() >= lengths.sum::<usize>() {
            return Some((head.lines().next()?.to_owned(), body.to_owned()));
        }
    }
}

/// An answer that repeats what it was asked, as firewalls and proxies do.
fn answer(status: &str, headers: &str, line: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{line}", line.len())
}

/// A book's folder with who is told: a program, a person with Telegram, and somebody who never answers.
fn sandbox(receiver: &Receiver) -> Sandbox {
    let sandbox = Sandbox::empty();
    let token = sandbox.write("telegram.token", TOKEN);
    std::fs::set_permissions(token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "[tell]\nheartbeat_env = \"BEAT_URL\"\n\n[tell.channels.desk]\nkind = \"webhook\"\nurl_env = \"HOOK_URL\"\n\n\
         [tell.channels.phone]\nkind = \"telegram\"\ntoken_file = \"telegram.token\"\nchat = \"42\"\namounts = \"none\"\n\
         api = \"{}\"\n\n[tell.channels.stuck]\nkind = \"slack\"\nurl_env = \"STUCK_URL\"\n",
        receiver.base_url
    );
    sandbox.write("fillbook.toml", config);
    sandbox
}

fn addresses(receiver: &Receiver) -> [(&'static str, String); 3] {
    [("HOOK_URL", HOOK), ("STUCK_URL", STUCK), ("BEAT_URL", BEAT)]
        .map(|(name, path)| (name, format!("{}{path}", receiver.base_url)))
}

/// Watches, and says all that it has to say into a file of the folder.
fn watch(sandbox: &Sandbox, receiver: &Receiver, exchange: &Exchange) -> Child {
    let addresses = addresses(receiver);
    let told = addresses.iter().map(|(name, url)| (*name, url.as_str()));
    let environment: Vec<_> = exchange.environment().into_iter().chain(told).collect();
    let mut command = sandbox.prepared(&["watch", "-vvv"], &environment);
    let file = std::fs::File::options().create(true).append(true).open(sandbox.path().join("said")).unwrap();
    command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(Stdio::from(file)).spawn().unwrap()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whole or in part, none of it stands in what was said, in the book, or in what lists show.
#[track_caller]
fn assert_unseen(sandbox: &Sandbox, outputs: &[String]) {
    let files = sandbox.files();
    let files = files.iter().filter(|(name, _)| *name != "telegram.token");
    let files: Vec<(String, String)> =
        files.map(|(name, bytes)| (name.clone(), String::from_utf8_lossy(bytes).into_owned())).collect();
    let outputs = outputs.iter().map(|text| ("output".to_owned(), text.clone()));
    for (place, text) in files.into_iter().chain(outputs) {
        for secret in [TOKEN, &TOKEN[11..], HOOK, &HOOK[7..], STUCK, BEAT] {
            let at = text.find(secret);
            assert!(at.is_none(), "{place} shows `{secret}`: {}", &text[at.unwrap().saturating_sub(100)..at.unwrap()]);
        }
    }
}

#[test]
fn a_watcher_tells_whoever_listens_at_least_once() {
    // The program's end fails, wants to be left alone, and takes it; Telegram takes it; the third one hangs.
    let receiver = Receiver::start(|line, nth| match (line, nth) {
        (line, 1) if line.contains(HOOK) => Some(answer("500 Internal Server Error", "", line)),
        (line, 2) if line.contains(HOOK) => Some(answer("429 Too Many Requests", "retry-after: 1\r\n", line)),
        (line, _) if line.contains(STUCK) => None,
        _ => Some(answer("200 OK", "", "{\"ok\":true}")),
    });
    let (sandbox, exchange) = (sandbox(&receiver), Exchange::start(81));
    exchange.trade("old-1", "ETHUSDT", Side::Buy, "0.3");
    let mut watching = watch(&sandbox, &receiver, &exchange);
    let said = || String::from_utf8_lossy(&std::fs::read(sandbox.path().join("said")).unwrap()).into_owned();
    until("compared with the exchange", || said().contains("compared with the exchange"));
    exchange.trade("bot-1", "BTCUSDT", Side::Buy, "0.05");
    until("opened", || receiver.events().iter().any(|event| event["kind"] == "opened" && event["symbol"] == "BTCUSDT"));
    // Nothing of recording waits for whoever hangs.
    exchange.trade("bot-2", "BTCUSDT", Side::Sell, "0.05");
    until("closed", || receiver.events().iter().any(|event| event["kind"] == "closed"));
    let closed = receiver.events().into_iter().find(|event| event["kind"] == "closed").unwrap();
    assert_eq!(
        (&closed["account"], &closed["symbol"], &closed["urgent"]),
        (&"main".into(), &"BTCUSDT".into(), &false.into())
    );
    let (text, id) = (closed["text"].as_str().unwrap(), closed["id"].as_str().unwrap());
    assert!(text.starts_with("main: closed BTCUSDT long, net ") && text.ends_with(&format!("#{id}")), "{text}");
    assert!(closed["net"][0]["amount"].is_string(), "{closed}");
    until("asked again after it failed and wanted to be left alone", || receiver.bodies(HOOK).len() >= 3);

    // A person is told without amounts, through the bot that the token is of.
    let path = format!("/bot{TOKEN}/sendMessage");
    let of_phone = || receiver.bodies(&path).join("\n");
    until("Telegram", || of_phone().contains("closed BTCUSDT long"));
    assert!(of_phone().contains("\"chat_id\":\"42\"") && !of_phone().contains("net "), "{}", of_phone());
    until("the heartbeat", || !receiver.bodies(BEAT).is_empty());

    // What was before is told to nobody, and what nobody takes waits, and is seen to.
    assert!(receiver.events().iter().all(|event| event["symbol"] != "ETHUSDT"), "{:#?}", receiver.events());
    let list = sandbox.run(&["tell", "--list", "--json"]).exits(0);
    let of = |channel: &str| list.json().into_iter().filter(|it| it["channel"] == channel).collect::<Vec<_>>();
    assert!(
        !of("desk").is_empty() && of("desk").iter().all(|it| it["attempts"].as_u64() <= Some(2)),
        "{:#?}",
        of("desk")
    );
    assert!(of("stuck").len() >= 2 && of("stuck").iter().all(|it| it["state"] == "waits"), "{:#?}", of("stuck"));
    let status = sandbox.run(&["status"]);
    assert!(status.stdout.contains("stuck: 2 messages wait, the oldest for "), "{}", status.transcript());

    // Killed anywhere, it forgets nothing and makes nothing twice.
    for nth in 3..9 {
        watching.kill().unwrap();
        watching.wait().unwrap();
        let side = if nth % 2 == 1 { Side::Buy } else { Side::Sell };
        exchange.trade(&format!("bot-{nth}"), "BTCUSDT", side, "0.05");
        watching = watch(&sandbox, &receiver, &exchange);
        std::thread::sleep(Duration::from_millis(400 * nth));
    }
    let of_trades = || receiver.ids().into_iter().filter(|id| id.starts_with("trip:BTCUSDT")).count();
    until("three more round trips", || of_trades() == 4);
    let opened = || {
        receiver
            .events()
            .iter()
            .filter(|event| event["kind"] == "opened")
            .map(|event| event["id"].to_string())
            .collect::<BTreeSet<_>>()
    };
    until("three more entries", || opened().len() == 4);
    send(Signal::TERM, &watching);
    assert_eq!(watching.wait().unwrap().code(), Some(0));
    let list = sandbox.run(&["tell", "--list", "--json"]).exits(0);
    let keys: Vec<_> = list.json().iter().map(|it| format!("{} {}", it["channel"], it["key"])).collect();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:#?}");
    let shown = ["status", "status --json", "tell --list", "runs"]
        .map(|words| sandbox.run(&words.split(' ').collect::<Vec<_>>()).transcript());
    assert_unseen(&sandbox, &[&shown[..], &[list.transcript()]].concat());
    assert!(said().contains("the receiver answered 500"), "the log says why: {}", said());
}

#[test]
fn a_channel_is_proven_without_a_book() {
    let receiver = Receiver::start(|line, _| {
        let is_taken = line.contains(HOOK) || line.contains("/bot");
        Some(if is_taken { answer("200 OK", "", "ok") } else { answer("403 Forbidden", "", line) })
    });
    let sandbox = sandbox(&receiver);
    let addresses = addresses(&receiver);
    let environment: Vec<(&str, &str)> = addresses.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let one = sandbox.command(&["tell", "--test", "phone"], &environment).exits(0);
    assert_eq!(one.stdout, "phone (telegram) took the test message.\n");
    assert!(
        receiver.bodies("/sendMessage")[0].contains("main: this is a test: "),
        "{:?}",
        receiver.bodies("/sendMessage")
    );
    let all = sandbox.command(&["tell", "--test"], &environment).exits(1);
    assert!(all.stdout.contains("desk (webhook) took the test message."), "{}", all.transcript());
    assert!(
        all.stdout.contains("stuck (slack) did not take the test message: the receiver answered 403"),
        "{}",
        all.transcript()
    );
    assert!(!sandbox.path().join("fillbook.db").exists());
    let json = sandbox.command(&["tell", "--test", "desk", "--json"], &environment).exits(0).json().remove(0);
    assert_eq!((&json["schema"], &json["taken"]), (&"fillbook.tell.test/1".into(), &true.into()));

    let unknown = sandbox.command(&["tell", "--test", "nobody"], &environment).exits(2);
    assert!(unknown.stderr.contains("it has desk, phone, stuck"), "{}", unknown.transcript());
    let unset = sandbox.command(&["tell", "--test"], &[]).exits(4);
    assert!(
        unset.stderr.contains("channel desk: the environment variable HOOK_URL is not set"),
        "{}",
        unset.transcript()
    );
    std::fs::set_permissions(sandbox.path().join("telegram.token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let shared = sandbox.command(&["tell", "--test", "phone"], &environment).exits(4);
    assert!(shared.stderr.contains("chmod 600"), "{}", shared.transcript());
    let neither = sandbox.command(&["tell"], &environment).exits(2);
    // A token in the wrong place is not repeated.
    let misplaced = sandbox.command(&["tell", "--test", HOOK], &environment).exits(2);
    sandbox
        .write("fillbook.toml", format!("[tell.channels.a]\nkind = \"webhook\"\nurl_env = \"{}\"\n", addresses[0].1));
    let pasted = sandbox.command(&["tell", "--test"], &[]).exits(1);
    sandbox.write("fillbook.toml", "");
    let nobody = sandbox.command(&["tell", "--test"], &[]).exits(1);
    let all = [one, all, unknown, unset, shared, neither, misplaced, pasted, nobody];
    assert_unseen(&sandbox, &all.map(|run| run.transcript()));
}
