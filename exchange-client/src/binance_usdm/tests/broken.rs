//! Answers broken at random: an error or an answer, never a panic.

use proptest::prelude::*;

use super::*;

/// A body with some bytes replaced, some taken out, or its end cut off.
fn broken(body: String) -> impl Strategy<Value = Vec<u8>> {
    let length = body.len();
    let wounds = proptest::collection::vec(
        (
            0..length,
            prop_oneof![
                2 => any::<u8>().prop_map(Some),
                // What means something in JSON and in numbers.
                5 => proptest::sample::select(br#"{}[]",:-+.eE0919nNtf\\ "#.to_vec()).prop_map(Some),
                2 => Just(None),
            ],
        ),
        0..6,
    );
    (wounds, prop_oneof![4 => Just(length), 1 => 0..length]).prop_map(move |(wounds, end)| {
        let mut bytes = body.as_bytes()[..end].to_vec();
        for (at, byte) in wounds {
            match byte {
                Some(byte) if at < bytes.len() => bytes[at] = byte,
                None if at < bytes.len() => {
                    bytes.remove(at);
                }
                _ => {}
            }
        }
        bytes
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let income = r#"[{"symbol":"","incomeType":"TRANSFER","income":"-0.375","asset":"USDT","info":"x","time":1779999999000,"tranId":"9689322392","tradeId":""}]"#;
    let info = r#"{"symbols":[{"symbol":"BTCUSDT","marginAsset":"USDT","filters":[{"filterType":"LOT_SIZE","stepSize":"0.001"}]}]}"#;
    let position = r#"[{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"-0.1","entryPrice":"60000.1","accountAlias":"a","asset":"USDT","balance":"1.5"}]"#;
    let bodies = [
        format!("[{TRADE}]"),
        format!("[{ORDER_ROW}]"),
        ORDER_ROW.to_owned(),
        format!("[{}]", ORDER_ROW.replace("orderId", "algoId").replace("status", "algoStatus")),
        income.to_owned(),
        info.to_owned(),
        position.to_owned(),
        r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned(),
        r#"{"dualSidePosition":true,"leverage":20,"serverTime":1780000000000}"#.to_owned(),
    ];
    proptest::sample::select(bodies.to_vec()).prop_flat_map(broken)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn a_broken_answer_never_panics(body in any_body(), status in prop_oneof![8 => Just(200_u16), 1 => 300_u16..600]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut script = Script::timed();
        for _ in 0..20 {
            let response = Response { status, headers: Vec::new(), body: Bytes::from(body.clone()) };
            script.answers.get_mut().unwrap().push_back(Ok(response));
        }
        let (exchange, ..) = adapter(script);
        runtime.block_on(async {
            let reference = that_order();
            let conditional = OrderRef::Id(OrderClass::Conditional, OrderId::new("8389765568816714212").unwrap());
            let mut shown = Vec::new();
            macro_rules! told {
                ($($result:expr),+ $(,)?) => {$(
                    if let Err(error) = $result.await {
                        shown.push(error.to_string());
                    }
                )+};
            }
            told!(
                exchange.fetch_my_trades(btc(), from_id("1")),
                exchange.fetch_orders(OrderClass::Regular, None, window()),
                exchange.fetch_orders(OrderClass::Conditional, Some(btc()), window()),
                exchange.fetch_order(btc(), reference.clone()),
                exchange.fetch_order(btc(), conditional),
                exchange.fetch_open_orders(None),
                exchange.fetch_income(None, window()),
                exchange.fetch_positions(None),
                exchange.fetch_balances(&whoever()),
                exchange.fetch_instruments(),
                exchange.fetch_mark_prices(None),
                exchange.fetch_funding_rates(Some(btc()), window()),
                exchange.fetch_funding_rates(None, window()),
                exchange.fetch_klines(btc(), window()),
                exchange.fetch_position_mode(),
                exchange.account_identity(),
            );
            for outcome in [exchange.create_order(new_order()).await, exchange.cancel_order(btc(), reference).await.map(|order| order.unwrap())] {
                if let SendOutcome::Rejected(error) | SendOutcome::Unknown(error) = outcome {
                    shown.push(error.to_string());
                }
            }
            // What is shown on a terminal cannot take it over.
            for message in shown {
                assert!(!message.chars().any(char::is_control), "{message:?}");
            }
        });
    }
}
