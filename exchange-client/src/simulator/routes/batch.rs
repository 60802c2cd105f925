//! Several orders in one request: each is placed, amended or cancelled on its own, and each has its own answer.

use serde_json::{Value, json};

use super::{Answered, Ask, orders};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Params;

/// How many orders are placed or amended at once.
const ORDERS_MAX: usize = 5;
/// How many orders are cancelled at once.
const CANCELS_MAX: usize = 10;

pub(super) fn place(ask: &mut Ask<'_>) -> Answered {
    let legs = legs(ask)?;
    Ok(each(ask, &legs, orders::place))
}

pub(super) fn amend(ask: &mut Ask<'_>) -> Answered {
    let legs = legs(ask)?;
    Ok(each(ask, &legs, orders::amend))
}

pub(super) fn cancel(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    let ids: Option<Vec<i64>> = list(ask.params, "orderIdList", "orderidlist")?;
    let client_ids: Option<Vec<String>> = list(ask.params, "origClientOrderIdList", "origclientorderidlist")?;
    let (name, ids) = match (ids, client_ids) {
        (Some(ids), _) => ("orderId", ids.iter().map(i64::to_string).collect()),
        (None, Some(client_ids)) => ("origClientOrderId", client_ids),
        (None, None) => return Err(Refusal::missing("orderIdList")),
    };
    if ids.is_empty() || ids.len() > CANCELS_MAX {
        return Err(Refusal::batch_size());
    }
    let leg = |id| Params::of([("symbol".to_owned(), symbol.clone()), (name.to_owned(), id)]);
    let legs: Vec<Params> = ids.into_iter().map(leg).collect();
    Ok(each(ask, &legs, orders::cancel))
}

/// The orders of a batch: objects of text, as the real exchange wants them.
fn legs(ask: &Ask<'_>) -> Result<Vec<Params>, Refusal> {
    let rows: Vec<serde_json::Map<String, Value>> =
        list(ask.params, "batchOrders", "batchOrders")?.ok_or_else(|| Refusal::missing("batchOrders"))?;
    if rows.is_empty() || rows.len() > ORDERS_MAX {
        return Err(Refusal::batch_size());
    }
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let leg =
        |row: serde_json::Map<String, Value>| Params::of(row.into_iter().map(|(name, value)| (name, text(value))));
    Ok(rows.into_iter().map(leg).collect())
}

/// A list in JSON, under either of two names.
fn list<T: serde::de::DeserializeOwned>(params: &Params, name: &str, other: &str) -> Result<Option<Vec<T>>, Refusal> {
    let text = params.get(name).or_else(|| params.get(other));
    text.map(|text| serde_json::from_str(text).map_err(|_| Refusal::invalid(name))).transpose()
}

fn each(ask: &mut Ask<'_>, legs: &[Params], action: fn(&mut Ask<'_>) -> Answered) -> Value {
    let answers = legs.iter().map(|leg| {
        let mut one = Ask {
            engine: ask.engine,
            config: ask.config,
            faults: ask.faults,
            params: leg,
            account: ask.account,
            lag: ask.lag,
            streams: &mut *ask.streams,
        };
        action(&mut one).unwrap_or_else(|refusal| json!({ "code": refusal.code, "msg": refusal.message }))
    });
    answers.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Lag;
    use super::*;
    use crate::simulator::SimulatorConfig;
    use crate::simulator::engine::Engine;
    use crate::simulator::faults::FaultProfile;
    use crate::simulator::stream::Streams;

    #[test]
    fn each_order_of_a_batch_stands_for_itself() {
        let config = SimulatorConfig::new(7);
        let mut engine = Engine::new(&config, 1_780_000_000_000).unwrap();
        let mut ask = |action: fn(&mut Ask<'_>) -> Answered, pairs: &[(&str, &str)]| {
            let params = Params::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            let lag = Lag { settle_ms: 0, conditional_ms: 0, conditional_list_ms: 0 };
            let faults = FaultProfile::none();
            let streams = &mut Streams::default();
            action(&mut Ask { engine: &mut engine, config: &config, faults, params: &params, account: 0, lag, streams })
        };
        let leg = |price: &str, id: &str| {
            json!({
                "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
                "price": price, "newClientOrderId": id, "newOrderRespType": "RESULT",
            })
        };
        let legs = json!([leg("60000", "a"), leg("0.1", "b"), leg("60000", "a"), leg("59000.1", "c")]).to_string();
        let placed = ask(place, &[("batchOrders", &legs)]).unwrap();
        let told = |answer: &Value, field: &str| -> Vec<Value> {
            answer.as_array().unwrap().iter().map(|row| row.get(field).or(row.get("code")).unwrap().clone()).collect()
        };
        assert_eq!(told(&placed, "clientOrderId"), [json!("a"), json!(-4164), json!(-4116), json!("c")]);

        let ids = told(&placed, "orderId");
        let change =
            json!([{ "symbol": "BTCUSDT", "side": "BUY", "orderId": ids[3], "quantity": "0.02", "price": "59000" }]);
        let amended = ask(amend, &[("batchOrders", &change.to_string())]).unwrap();
        assert_eq!(told(&amended, "origQty"), ["0.020"]);

        let wanted = format!("[{},1]", ids[0]);
        let canceled = ask(cancel, &[("symbol", "BTCUSDT"), ("orderidlist", &wanted)]).unwrap();
        assert_eq!(told(&canceled, "status"), [json!("CANCELED"), json!(-2011)]);
        let by_client = [("symbol", "BTCUSDT"), ("origClientOrderIdList", r#"["c"]"#)];
        assert_eq!(told(&ask(cancel, &by_client).unwrap(), "clientOrderId"), ["c"]);

        let six = json!([{}, {}, {}, {}, {}, {}]).to_string();
        for (pairs, code) in [
            ([("batchOrders", six.as_str())], -4082),
            ([("batchOrders", "[]")], -4082),
            ([("batchOrders", "{}")], -1130),
            ([("other", "")], -1102),
        ] {
            assert_eq!(ask(place, &pairs).unwrap_err().code, code, "{pairs:?}");
        }
    }
}
