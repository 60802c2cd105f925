//! Over real web sockets.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;

/// Runs by itself as far as anybody can tell, and is moved by hand.
#[derive(Debug)]
struct Moved(ManualClock);

impl Clock for Moved {
    fn now(&self) -> TimestampMs {
        self.0.now()
    }
}

struct World {
    clock: Arc<Moved>,
    desk: Desk,
    address: String,
    stop: tokio::sync::oneshot::Sender<()>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn world() -> World {
    let clock = Arc::new(Moved(ManualClock::new(start())));
    let config = SimulatorConfig { prices_wander: false, orders_10s_max: None, orders_1m_max: None, ..generous(5) };
    let simulator = Arc::new(Simulator::new(config, SimulatorClock::Live(clock.clone())).unwrap());
    let desk = Desk::new(&simulator, 0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(simulator, listener, async { drop(stopped.await) }));
    World { clock, desk, address, stop, server }
}

impl World {
    async fn connect(&self, target: &str) -> WebSocketStream<TcpStream> {
        let socket = TcpStream::connect(&self.address).await.unwrap();
        tokio_tungstenite::client_async(format!("ws://{}{target}", self.address), socket).await.unwrap().0
    }

    async fn listen(&self) -> WebSocketStream<TcpStream> {
        self.connect(&format!("/private/ws?listenKey={}", listen_key(&self.desk))).await
    }

    fn buy(&self) {
        buy_by_hand(&self.desk);
    }

    /// Plain HTTP, and the status that it answers.
    async fn status(&self, head: &str) -> String {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.write_all(head.replace('\n', "\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 512];
        let length = socket.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
    }
}

async fn next_event(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn events_arrive_over_the_wire_beside_rest_on_one_port() {
    let world = world().await;
    let mut socket = world.listen().await;
    let mut in_process = listen(&world.desk);
    world.buy();
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(next_event(&mut socket).await);
    }
    assert_eq!(heard, events(&mut in_process));
    // Requests go on at the same port.
    assert_eq!(world.status("GET /fapi/v1/ping HTTP/1.1\nhost: x\nconnection: close\n\n").await, "HTTP/1.1 200 OK");
    socket.send(Message::text(r#"{"method":"LIST_SUBSCRIPTIONS","id":7}"#)).await.unwrap();
    assert_eq!(next_event(&mut socket).await["id"], 7);
    // A ping is answered, and so is a goodbye.
    socket.send(Message::Ping("there?".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("there?".into()));
    socket.close(None).await.unwrap();
    while let Some(message) = socket.next().await {
        assert!(matches!(message, Ok(Message::Close(_))), "{message:?}");
    }
}

#[tokio::test]
async fn only_what_asks_for_a_websocket_becomes_one() {
    let world = world().await;
    let upgrade = "connection: keep-alive, Upgrade\nupgrade: WebSocket\nsec-websocket-version: 13\n";
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n";
    let ask = |path: &str, rest: &str| format!("GET {path} HTTP/1.1\nhost: x\n{rest}\n");
    for (head, status) in [
        (ask("/private/ws", &format!("{upgrade}{key}")), "101 Switching Protocols"),
        (ask("/ws/retired", &format!("{upgrade}{key}")), "101 Switching Protocols"),
        (ask("/market/stream", &format!("{upgrade}{key}")), "101 Switching Protocols"),
        (ask("/public/ws/btcusdt@bookTicker", &format!("{upgrade}{key}")), "101 Switching Protocols"),
        (ask("/market/else", &format!("{upgrade}{key}")), "404 Not Found"),
        (ask("/private/else", &format!("{upgrade}{key}")), "404 Not Found"),
        (ask("/private/ws", upgrade), "400 Bad Request"),
        (ask("/private/ws", &format!("{}{key}", upgrade.replace("13", "8"))), "400 Bad Request"),
        (ask("/private/ws", ""), "404 Not Found"),
    ] {
        assert_eq!(world.status(&head).await, format!("HTTP/1.1 {status}"), "{head}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_day_and_with_the_simulator() {
    let world = world().await;
    let (mut of_yesterday, clock) = (world.listen().await, &world.clock.0);
    clock.advance(Duration::from_hours(24));
    let mut code = None;
    while let Some(Ok(message)) = of_yesterday.next().await {
        if let Message::Close(Some(frame)) = message {
            code = Some(u16::from(frame.code));
        }
    }
    assert_eq!(code, Some(1000));
    let mut socket = world.listen().await;
    world.stop.send(()).unwrap();
    let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else { panic!("no goodbye") };
    assert_eq!(u16::from(frame.code), 1001);
    drop(socket);
    world.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_stream_is_dropped_without_a_goodbye() {
    let world = world().await;
    let mut socket = world.listen().await;
    let stream = StreamFaults { broken: 1_000, ..StreamFaults::default() };
    world.desk.simulator.set_faults(FaultProfile { stream, ..FaultProfile::none() });
    world.buy();
    let end = socket.next().await.unwrap();
    assert!(end.is_err(), "{end:?}");
}

#[tokio::test]
async fn who_does_not_read_is_disconnected() {
    let world = world().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // The less the operating system keeps, the sooner it shows.
    socket.set_recv_buffer_size(4_096).unwrap();
    let socket = socket.connect(world.address.parse().unwrap()).await.unwrap();
    let url = format!("ws://{}/private/ws?listenKey={}", world.address, listen_key(&world.desk));
    let (mut socket, _) = tokio_tungstenite::client_async(url, socket).await.unwrap();
    // More than the operating system keeps for a socket, and than may wait besides.
    let mut sent = 0;
    while world.desk.simulator.state().streams.is_listened() {
        world.buy();
        sent += 1;
        assert!(sent < 60_000);
        tokio::task::yield_now().await;
    }
    // Who is stuck in a message is not waited for, not even to say goodbye.
    let mut heard = 0_usize;
    let end = loop {
        match socket.next().await {
            Some(Ok(Message::Text(_))) => heard += 1,
            end => break end,
        }
    };
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert!(heard < 4 * sent, "{heard} of {sent} orders");
}
