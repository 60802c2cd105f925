//! The real adapter on the simulator: over the wire and in the same process, compared with the books.

use super::*;

#[tokio::test]
async fn a_server_stops_although_a_connection_is_open() {
    let (simulator, clock) = simulator(generous(11));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(Arc::clone(&simulator), listener, async { drop(stopped.await) }));
    let http = HttpTransport::new(HttpTransportConfig::default()).unwrap();
    let wired = adapter(Arc::new(http), &clock, &base_url);
    // The connection stays in the client's pool.
    wired.server_time().await.unwrap();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert_eq!(wired.server_time().await.unwrap_err().class(), ErrorClass::Unavailable);
}

#[tokio::test]
async fn the_adapter_reads_what_the_books_hold() {
    let (simulator, clock) = simulator(generous(5));
    let exchange = in_process(&simulator, &clock);
    trade(&simulator, &exchange).await;
    let books = simulator.books();
    let truth = &books.accounts[0];
    let mut fills = 0;
    for spec in MarketSpec::standard() {
        for row in all_trades(&exchange, &spec.symbol).await {
            let fill = row.entity;
            let id: i64 = fill.key.fill_id.as_str().parse().unwrap();
            let known = truth.trades.iter().find(|trade| trade.symbol == spec.symbol && trade.id == id).unwrap();
            assert_eq!((fill.price.get(), fill.qty.get()), (known.price, known.qty));
            let fee = fill.fee.unwrap();
            assert_eq!((fee.amount, fee.asset.as_str()), (known.fee, known.fee_asset.as_str()));
            assert_eq!(fill.exchange_realized_pnl, Some(known.realized));
            assert_eq!(fill.order_id.unwrap().as_str(), known.order_id.to_string());
            assert_eq!((fill.time.at.as_ms(), fill.sequence), (known.time_ms, Some(id)));
            fills += 1;
        }
    }
    assert_eq!(fills, truth.trades.len());
    let positions = exchange.fetch_positions(None).await.unwrap().rows;
    assert_eq!(positions.len(), truth.positions.len());
    for (row, known) in positions.iter().zip(&truth.positions) {
        assert_eq!((row.entity.symbol.as_str(), row.entity.qty), (known.symbol.as_str(), known.qty));
        assert_eq!(row.entity.entry_price.map(Price::get), Some(known.entry_price));
    }
    let account = exchange.account_identity().await.unwrap();
    for row in exchange.fetch_balances(&account).await.unwrap().rows {
        assert_eq!(Some(&row.entity.wallet), truth.wallets.get(row.entity.asset.as_str()));
    }
    let income = all_income(&exchange).await;
    assert_eq!(income.len(), truth.income.len());
    assert!(truth.income.iter().any(|row| row.income_type == "FUNDING_FEE"));
    // Order ids keep every digit beyond 2^53.
    let trade = &truth.trades[0];
    assert!(trade.order_id > 1 << 53);
    let by_order = TradeQuery::Order(OrderId::new(trade.order_id.to_string()).unwrap());
    let page = exchange.fetch_my_trades(symbol(&trade.symbol), by_order).await.unwrap();
    assert!(page.next.is_none() && page.rows.iter().any(|row| row.entity.sequence == Some(trade.id)));
}

#[tokio::test]
async fn resting_orders_fill_in_parts_or_are_cancelled() {
    let (simulator, clock) = simulator(generous(3));
    let exchange = in_process(&simulator, &clock);
    let mut bid = order("ETHUSDT", Side::Buy, "2", "bid");
    bid.kind = OrderKind::limit("3100".parse().unwrap());
    let resting = exchange.create_order(bid.clone()).await.done().unwrap().entity;
    assert_eq!((resting.status.clone(), resting.executed.unwrap().qty), (OrderStatus::New, Decimal::ZERO));
    assert_eq!(exchange.fetch_open_orders(None).await.unwrap().rows.len(), 1);
    assert_eq!(refused(exchange.create_order(bid.clone()).await), -4116);
    let reference = OrderRef::Id(OrderClass::Regular, resting.key.order_id.clone());
    let mut seen = vec![];
    for _ in 0..20_000 {
        simulator.step(Duration::from_secs(5));
        let now = exchange.fetch_order(symbol("ETHUSDT"), reference.clone()).await.unwrap().unwrap().entity;
        if seen.last() != Some(&now.status) {
            seen.push(now.status);
        }
        if seen.last() == Some(&OrderStatus::Filled) {
            break;
        }
    }
    assert_eq!(seen, [OrderStatus::New, OrderStatus::PartiallyFilled, OrderStatus::Filled]);
    let fills = all_trades(&exchange, "ETHUSDT").await;
    assert!(fills.len() > 1 && fills.iter().all(|row| row.entity.maker == Some(true)));
    bid.client_order_id = ClientOrderId::new("bid-2").unwrap();
    bid.kind = OrderKind::limit("1000".parse().unwrap());
    assert_eq!(exchange.create_order(bid).await.done().unwrap().entity.status, OrderStatus::New);
    let by_client = OrderRef::Client(OrderClass::Regular, ClientOrderId::new("bid-2").unwrap());
    let canceled = exchange.cancel_order(symbol("ETHUSDT"), by_client.clone()).await.done().unwrap().unwrap().entity;
    assert_eq!(canceled.status, OrderStatus::Canceled);
    assert_eq!(refused(exchange.cancel_order(symbol("ETHUSDT"), by_client.clone()).await), -2011);
    // Cancelled without a fill, it is forgotten after three days.
    assert!(exchange.fetch_order(symbol("ETHUSDT"), by_client.clone()).await.unwrap().is_some());
    simulator.step(Duration::from_hours(96));
    assert!(exchange.fetch_order(symbol("ETHUSDT"), by_client).await.unwrap().is_none());
}

#[tokio::test]
async fn refusals_are_those_of_the_real_exchange() {
    let (simulator, clock) = simulator(generous(1));
    let exchange = in_process(&simulator, &clock);
    let send = |order| exchange.create_order(order);
    assert_eq!(refused(send(order("NOPEUSDT", Side::Buy, "1", "a")).await), -1121);
    assert_eq!(refused(send(order("BTCUSDT", Side::Buy, "0.0001", "a")).await), -1111);
    assert_eq!(refused(send(order("DOGEUSDT", Side::Buy, "1", "a")).await), -4164);
    assert_eq!(refused(send(order("BTCUSDT", Side::Buy, "500", "a")).await), -2019);
    let reduce_only = NewOrder { reduce_only: true, ..order("BTCUSDT", Side::Buy, "1", "a") };
    assert_eq!(refused(send(reduce_only).await), -2022);
    let hedged = NewOrder { position_side: PositionSide::Long, ..order("BTCUSDT", Side::Buy, "1", "a") };
    assert_eq!(refused(send(hedged.clone()).await), -4061);
    let off_tick = NewOrder { kind: OrderKind::limit("1.23".parse().unwrap()), ..hedged.clone() };
    let off_tick = NewOrder { position_side: PositionSide::Net, ..off_tick };
    assert_eq!(refused(send(off_tick).await), -4014);
    assert!(simulator.books().accounts[0].trades.is_empty());
    // Hedge mode: switching twice is fine, two positions side by side, and no closing of more than there is.
    for _ in 0..2 {
        assert!(exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    }
    assert_eq!(exchange.fetch_position_mode().await.unwrap(), PositionMode::Hedge);
    assert!(
        send(NewOrder { client_order_id: ClientOrderId::new("l").unwrap(), ..hedged.clone() }).await.done().is_some()
    );
    let short = NewOrder { position_side: PositionSide::Short, side: Side::Sell, ..hedged.clone() };
    assert!(send(short.clone()).await.done().is_some());
    let positions = exchange.fetch_positions(None).await.unwrap().rows;
    let held: Vec<_> = positions.iter().map(|row| (row.entity.position_side, row.entity.qty)).collect();
    assert_eq!(held, [(PositionSide::Long, Decimal::ONE), (PositionSide::Short, -Decimal::ONE)]);
    let too_much = NewOrder { side: Side::Buy, size: "2".parse::<Quantity>().unwrap().into(), ..short };
    assert_eq!(refused(send(too_much).await), -2022);
    assert_eq!(refused(exchange.set_position_mode(PositionMode::OneWay).await), -4068);
}

#[tokio::test]
async fn an_account_may_sign_with_a_pair_of_keys() {
    let pem = |key: &str| format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let mut account = SimulatorAccount::named("paired");
    account.api_secret = pem("MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH");
    let (simulator, clock) = simulator(SimulatorConfig { accounts: vec![account.clone()], ..generous(5) });
    let exchange = |secret: &str| {
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
        let credentials = crate::credentials::Credentials::new(account.api_key.clone(), secret.to_owned()).unwrap();
        let settings = RequestSettings { retry: RetryPolicy::NEVER, ..RequestSettings::SIMULATED };
        BinanceUsdm::with_settings(
            transport,
            clock.clone() as Arc<dyn Clock>,
            "http://127.0.0.1:1",
            credentials,
            settings,
        )
        .unwrap()
    };
    let placed = exchange(&account.api_secret).create_order(order("BTCUSDT", Side::Buy, "0.01", "paired:1")).await;
    assert_eq!(placed.done().unwrap().entity.status, OrderStatus::Filled);
    // Neither another pair nor the text of the key itself will do.
    let other = pem(&"MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH".replace("BwcH", "CAgI"));
    for secret in [other.as_str(), "another-secret"] {
        let error = exchange(secret).account_identity().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Authentication, "{error}");
    }
    let incoming = signed("timestamp=1780000000000", &account.api_secret);
    assert_eq!(ask(&simulator, "GET", "/fapi/v3/balance", &incoming, Some(&account.api_key)).1["code"], -1022);
}
