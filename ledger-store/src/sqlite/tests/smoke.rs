use crate::*;
use ledger_core::*;

fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(1_700_000_000_000 + ms).unwrap()
}

fn fill(id: i64, side: Side, qty: &str, price: &str) -> Statement {
    Statement {
        fact: AnyFact::Fill(Fill {
            key: FillKey {
                symbol: Symbol::new("ETHUSDT").unwrap(),
                fill_id: FillId::new(id.to_string()).unwrap(),
                side,
            },
            order_id: Some(OrderId::new(format!("{}", id / 2)).unwrap()),
            time: EventTime::ms(at(id * 10)),
            price: price.parse().unwrap(),
            qty: qty.parse().unwrap(),
            position_side: Some(PositionSide::Net),
            fee: None,
            maker: None,
            exchange_realized_pnl: None,
            sequence: Some(id),
        }),
        source: Source::Rest,
        payload: Some(format!("{{\"id\":{id}}}").into()),
    }
}

#[tokio::test]
async fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    for options in [OpenOptions::creating(), OpenOptions::inline()] {
        let store = SqliteStore::open(dir.path().join(format!("{:?}.db", options.writer)), &options).unwrap();
        let account = AccountId::new("main").unwrap();
        store
            .create_account(Account {
                id: account.clone(),
                venue: "x".into(),
                identity: None,
                position_mode: None,
                created_local: at(0),
            })
            .await
            .unwrap();
        let instrument = Statement {
            fact: AnyFact::Instrument(
                Instrument::linear(Symbol::new("ETHUSDT").unwrap(), Asset::new("USDT").unwrap()).unwrap(),
            ),
            source: Source::Rest,
            payload: None,
        };
        let batch = Batch::new(
            account.clone(),
            at(0),
            vec![
                instrument,
                fill(1, Side::Buy, "2", "100"),
                fill(2, Side::Sell, "1", "110"),
                fill(3, Side::Sell, "1", "90"),
                fill(4, Side::Buy, "3", "80"),
            ],
        );
        let report = store.commit(batch.clone()).await.unwrap();
        assert_eq!(report.counts().recorded, 5);
        let report = store.commit(batch).await.unwrap();
        assert_eq!(report.counts().already_recorded, 5);
        let trips = store
            .trips(
                &TripFilter { scope: Scope::account(account.clone()), engine: None, position_side: None },
                &PageRequest::first(10),
            )
            .await
            .unwrap();
        assert_eq!(trips.items.len(), 1);
        assert_eq!(store.open_trips(&account).await.unwrap().len(), 1);
        let positions = store.positions(&account).await.unwrap();
        assert_eq!(positions[0].position.qty, "3".parse().unwrap());
        let fills = store.fills(&Scope::account(account.clone()).into(), &PageRequest::newest(3)).await.unwrap();
        assert_eq!(fills.items.len(), 3);
        let rest = store
            .fills(&Scope::account(account.clone()).into(), &PageRequest::newest(3).after(fills.next.unwrap()))
            .await
            .unwrap();
        assert_eq!(rest.items.len(), 1);
        assert!(store.integrity_check().await.unwrap().is_empty());
    }
}
