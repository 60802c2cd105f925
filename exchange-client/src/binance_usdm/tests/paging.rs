//! Trades page by page: what is asked for after what.

use std::fmt::Write as _;

use super::*;

const DAY_MS: i64 = 86_400_000;

fn page(ids: std::ops::Range<i64>, time: i64) -> String {
    let rows =
        ids.map(|id| TRADE.replace("8389765568816714211", &id.to_string()).replace("1780000000000", &time.to_string()));
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn days(since: i64, until: i64) -> TimeWindow {
    let at = |days: i64| TimestampMs::new(NOW_MS + days * DAY_MS).unwrap();
    TimeWindow::new(at(since), at(until)).unwrap()
}

/// The parameters of each request, without those that every signed request has.
fn asked(script: &Script) -> String {
    let mut text = String::new();
    for asked in script.asked().iter().skip(1) {
        let asked = asked.replace("GET /fapi/v1/userTrades?symbol=BTCUSDT&", "");
        writeln!(text, "{}", asked.split("&recvWindow").next().unwrap()).unwrap();
    }
    text
}

#[tokio::test]
async fn a_window_is_cut_into_weeks_with_both_ends_stated() {
    let (exchange, script, _) = adapter(Script::timed().then(200, "[]").then(200, "[]").then(200, "[]"));
    let mut next = Some(TradeQuery::Window(days(-16, 0)));
    while let Some(query) = next {
        next = exchange.fetch_my_trades(btc(), query).await.unwrap().next;
    }
    // Each begins with the millisecond that the one before ended with.
    let week = 7 * DAY_MS;
    let begin = NOW_MS - 16 * DAY_MS;
    assert_eq!(
        asked(&script),
        format!(
            "startTime={begin}&endTime={}&limit=1000\nstartTime={}&endTime={}&limit=1000\nstartTime={}&endTime={NOW_MS}&limit=1000\n",
            begin + week - 1,
            begin + week - 1,
            begin + 2 * week - 2,
            begin + 2 * week - 2,
        )
    );
}

#[tokio::test]
async fn a_full_page_goes_on_by_id_even_within_one_millisecond() {
    let time = NOW_MS - 1_000;
    let script = Script::timed()
        .then(200, &page(1..1_001, time))
        .then(200, &page(1_000..2_000, time))
        .then(200, &page(1_999..2_100, time));
    let (exchange, script, _) = adapter(script);
    let (mut next, mut seen) = (Some(TradeQuery::Window(days(-1, 0))), std::collections::BTreeSet::new());
    while let Some(query) = next {
        let page = exchange.fetch_my_trades(btc(), query).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| row.entity.sequence));
        next = page.next;
    }
    assert_eq!(seen.len(), 2_099);
    // By id alone: the exchange refuses a time beside it.
    assert_eq!(
        asked(&script),
        format!(
            "startTime={}&endTime={NOW_MS}&limit=1000\nfromId=1000&limit=1000\nfromId=1999&limit=1000\n",
            NOW_MS - DAY_MS
        )
    );
}

#[tokio::test]
async fn an_answer_that_lacks_the_trade_it_should_begin_with_is_incomplete() {
    let known = || TradeQuery::After(FillId::new("1000").unwrap());
    let (exchange, ..) = adapter(Script::timed().then(200, &page(1_000..1_003, NOW_MS)));
    assert_eq!(exchange.fetch_my_trades(btc(), known()).await.unwrap().rows.len(), 3);
    // As if the exchange cut it to recent days.
    for answer in [page(1_500..1_503, NOW_MS), "[]".to_owned()] {
        let (exchange, ..) = adapter(Script::timed().then(200, &answer));
        let error = exchange.fetch_my_trades(btc(), known()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Incomplete, "{error}");
    }
}

#[tokio::test]
async fn what_is_too_early_is_an_error_and_not_an_empty_answer() {
    let (exchange, script, _) = adapter(Script::timed());
    let early = days(-100, 0);
    for error in [
        exchange.fetch_my_trades(btc(), TradeQuery::Window(early)).await.unwrap_err(),
        exchange.fetch_income(None, WindowQuery::new(early)).await.unwrap_err(),
        exchange.fetch_orders(OrderClass::Regular, None, WindowQuery::new(early)).await.unwrap_err(),
        exchange.fetch_orders(OrderClass::Conditional, Some(btc()), WindowQuery::new(early)).await.unwrap_err(),
        exchange.fetch_force_orders(None, WindowQuery::new(early)).await.unwrap_err(),
    ] {
        assert_eq!(error.class(), ErrorClass::Incomplete, "{error}");
    }
    // Nothing was asked but the time.
    assert_eq!(script.asked().len(), 1);
}
