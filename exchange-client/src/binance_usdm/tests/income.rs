//! The ledger: rows without an id, and seconds that hold more than a page.

use super::*;

#[tokio::test]
async fn ledger_rows_without_an_id_are_told_apart() {
    let row = |tran: &str, time: i64| {
        format!(
            r#"{{"symbol":"","incomeType":"BRAND_NEW_TYPE","income":"0.5","asset":"USDT","info":"x","time":{time},"tranId":{tran},"tradeId":""}}"#
        )
    };
    let page = [
        row("\"\"", NOW_MS - 9),
        row("\"\"", NOW_MS - 9),
        row("\"\"", NOW_MS - 8),
        row("7", NOW_MS - 7),
        row("\"8\"", NOW_MS - 7),
    ];
    let answer = format!("[{}]", page.join(","));
    let ids = |answer: String| async move {
        let (exchange, ..) = adapter(Script::timed().then(200, &answer));
        let rows = exchange.fetch_income(None, window()).await.unwrap().rows;
        assert!(rows.iter().all(|row| row.entity.key.symbol.is_none() && row.entity.fill_id.is_none()));
        rows.into_iter().map(|row| row.entity.key.tran_id.to_string()).collect::<Vec<_>>()
    };
    let first = ids(answer.clone()).await;
    assert_eq!(first.len(), 5);
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 5, "{first:?}");
    assert_eq!(&first[3..], ["7", "8"]);
    // The same answer another time gives the same ids.
    assert_eq!(ids(answer).await, first);
}

#[tokio::test]
async fn a_crowded_ledger_is_bisected_and_the_cut_rows_come_again() {
    let row = |tran: i64, time: i64| {
        format!(
            r#"{{"symbol":"","incomeType":"TRANSFER","income":"1","asset":"USDT","info":"","time":{time},"tranId":{tran},"tradeId":""}}"#
        )
    };
    let page = |rows: std::ops::Range<i64>| {
        format!(
            "[{}]",
            rows.map(|tran| row(tran + 1, NOW_MS - 10_000 + tran * 5_000 / 700)).collect::<Vec<_>>().join(",")
        )
    };
    let script = Script::timed().then(200, &page(0..1_000)).then(200, &page(0..700)).then(200, &page(700..1_400));
    let (exchange, script, _) = adapter(script);
    let mut next = Some(window());
    let mut seen = 0;
    while let Some(query) = next {
        let page = exchange.fetch_income(None, query).await.unwrap();
        seen += page.rows.len();
        next = page.next;
    }
    assert_eq!(seen, 1_400);
    assert_eq!(script.asked().len(), 4);
    // The two halves meet without gap or overlap.
    assert!(script.asked()[2].contains(&format!("startTime={}&endTime={}&", NOW_MS - 10_000, NOW_MS - 5_001)));
    assert!(
        script.asked()[3].contains(&format!("startTime={}&endTime={NOW_MS}&", NOW_MS - 5_000)),
        "{:?}",
        script.asked()
    );
}

fn nameless(time: i64, amount: &str, tran: &str) -> String {
    format!(
        r#"{{"symbol":"","incomeType":"REFERRAL_KICKBACK","income":"{amount}","asset":"USDT","info":"x","time":{time},"tranId":{tran},"tradeId":"0"}}"#
    )
}

#[tokio::test]
async fn the_same_ledger_rows_have_the_same_keys_in_every_form() {
    use crate::files::{ImportFile, Options};

    // Two identical rows of one second, one of the next, another amount, and one with an id.
    let times = [NOW_MS - 9_000, NOW_MS - 8_400, NOW_MS - 8_000, NOW_MS - 7_500];
    let amounts = ["0.01250000", "0.0125", "0.0125", "-3"];
    let keys = |name: &str, text: String| {
        let file = ImportFile::from_reader(name, std::io::Cursor::new(text.into_bytes()), Options::default()).unwrap();
        let facts = file.flat_map(|row| row.unwrap().result.unwrap()).map(|statement| statement.fact);
        let income = |fact| if let ledger_core::AnyFact::Income(income) = fact { Some(income.key) } else { None };
        facts.filter_map(income).collect::<Vec<_>>()
    };
    let mut csv = vec!["Date(UTC),type,Amount,Asset,Symbol,Transaction ID".to_owned()];
    let mut archive = vec!["symbol,incomeType,income,asset,info,time,tranId,tradeId".to_owned()];
    let mut rest = Vec::new();
    for (time, amount) in times.into_iter().zip(amounts) {
        // NOW_MS is 2026-05-28 20:26:40 UTC.
        let second = 40 - (NOW_MS - time + 999) / 1_000;
        csv.push(format!("2026-05-28 20:26:{second:02},REFERRAL_KICKBACK,{amount},USDT,,"));
        archive.push(format!(",REFERRAL_KICKBACK,{amount},USDT,x,{time},0,"));
        rest.push(nameless(time, amount, if rest.len() % 2 == 0 { "0" } else { "\"\"" }));
    }
    let (csv, archive) = (keys("a.csv", csv.join("\n")), keys("b.csv", archive.join("\n")));
    assert_eq!((csv.len(), csv.iter().collect::<std::collections::BTreeSet<_>>().len()), (4, 4));
    assert_eq!(archive, csv);
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{}]", rest.join(","))));
    let rows = exchange.fetch_income(None, window()).await.unwrap().rows;
    assert_eq!(rows.into_iter().map(|row| row.entity.key).collect::<Vec<_>>(), csv);
}

/// Answers the ledger from a list, a page at most, as the exchange does.
struct Ledger(Vec<i64>);

#[async_trait]
impl Transport for Ledger {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.ends_with("time") {
            let body = Bytes::from(format!(r#"{{"serverTime":{NOW_MS}}}"#));
            return Ok(Response { status: 200, headers: Vec::new(), body });
        }
        let bound = |name: &str| {
            let value = request.query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap();
            value.parse::<i64>().unwrap()
        };
        let asked = bound("startTime=")..=bound("endTime=");
        let rows = self.0.iter().filter(|time| asked.contains(time)).take(1_000);
        let rows: Vec<_> = rows.map(|time| nameless(*time, "1", "\"\"")).collect();
        Ok(Response { status: 200, headers: Vec::new(), body: Bytes::from(format!("[{}]", rows.join(","))) })
    }
}

#[tokio::test]
async fn a_ledger_row_without_an_id_has_one_id_wherever_pages_begin() {
    // Identical rows all over; one second holds two and a half pages.
    let mut times: Vec<i64> = (0..40).map(|index| NOW_MS - 9_990 + index * 250).collect();
    times.extend((0..2_500).map(|index| NOW_MS - 5_000 + index % 900));
    times.sort_unstable();
    let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let ledger = Arc::new(Ledger(times.clone()));
    let settings = RequestSettings::SIMULATED;
    let exchange =
        BinanceUsdm::with_settings(ledger, clock, "https://fapi.binance.com", credentials, settings).unwrap();
    let walk = |since: i64| {
        let exchange = &exchange;
        async move {
            let at = |ms| TimestampMs::new(NOW_MS + ms).unwrap();
            let mut next = Some(WindowQuery::new(TimeWindow::new(at(since), at(0)).unwrap()));
            let mut seen = std::collections::BTreeMap::new();
            while let Some(query) = next {
                let page = exchange.fetch_income(None, query).await.unwrap();
                for row in page.rows {
                    assert!(seen.insert(row.entity.key, row.entity.time.at.as_ms()).is_none());
                }
                next = page.next;
            }
            seen
        }
    };
    let all = walk(-10_000).await;
    assert_eq!(all.len(), times.len());
    for since in [-9_700, -9_001, -4_999, -4_321, -1] {
        for (key, time) in walk(since).await {
            assert_eq!(all.get(&key), Some(&time), "{since}: {key:?}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_ledger_row_is_kept_known_or_not() {
    let mut rows = Vec::new();
    let known = VENUE.income_types.iter().map(|known| known.name);
    assert!(known.len() >= 23);
    for (index, name) in known.chain(["SOMETHING_NEW_2027"]).enumerate() {
        // Ids come as numbers, texts and empty texts.
        let tran = ["9689322392", "\"9689322393\"", "\"\"", "8389765568816714211"][index % 4];
        let symbol = if index % 2 == 0 { "" } else { "BTCUSDT" };
        rows.push(format!(
            r#"{{"symbol":"{symbol}","incomeType":"{name}","income":"-0.37500000","asset":"BNFCR","info":"{name}","time":{},"tranId":{tran},"tradeId":""}}"#,
            NOW_MS - 9_000 + i64::try_from(index).unwrap(),
        ));
    }
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{}]", rows.join(","))));
    let page = exchange.fetch_income(None, window()).await.unwrap();
    assert_eq!(page.rows.len(), rows.len());
    for (row, payload) in page.rows.iter().zip(&rows) {
        assert_eq!(&*row.payload, payload);
        assert_eq!((row.entity.amount.to_string().as_str(), row.entity.key.asset.as_str()), ("-0.375", "BNFCR"));
        assert!(payload.contains(&format!("\"{}\"", row.entity.key.income_type.as_str())));
    }
    let effect = |index: usize| VENUE.wallet_effect(&page.rows[index].entity.key.income_type);
    assert_eq!(effect(0), crate::venue::WalletEffect::Added);
    assert_eq!(effect(rows.len() - 1), crate::venue::WalletEffect::Undocumented);
}

#[tokio::test]
async fn a_millisecond_that_holds_more_than_a_page_is_an_error() {
    let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let settings = RequestSettings::SIMULATED;
    for (rows, fits) in [(999, true), (1_000, false), (1_001, false)] {
        let ledger = Arc::new(Ledger(vec![NOW_MS - 4_321; rows]));
        let transport = Arc::clone(&ledger) as Arc<dyn Transport>;
        let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let base_url = "https://fapi.binance.com";
        let exchange =
            BinanceUsdm::with_settings(transport, shared_clock, base_url, credentials.clone(), settings).unwrap();
        let (mut next, mut seen) = (Some(window()), 0);
        let result = loop {
            let Some(query) = next else { break Ok(seen) };
            match exchange.fetch_income(None, query).await {
                Ok(page) => (next, seen) = (page.next, seen + page.rows.len()),
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(seen) => assert!(fits && seen == rows, "{seen} of {rows}"),
            Err(error) => {
                assert!(!fits && error.class() == ErrorClass::Incomplete, "{rows}: {error}");
                assert!(error.to_string().contains("2026-05-28T20:26:35.679Z"), "{error}");
            }
        }
    }
}

/// A list of one type with a row of another is another list's answer.
#[tokio::test]
async fn one_type_of_ledger_rows_is_asked_for_by_its_name() {
    let row = |of: &str| {
        format!(
            r#"[{{"symbol":"","incomeType":"{of}","income":"1","asset":"USDT","info":"","time":{},"tranId":7,"tradeId":""}}]"#,
            NOW_MS - 5_000
        )
    };
    let script = Script::timed().then(200, &row("TRANSFER")).then(200, &row("API_REBATE"));
    let (exchange, script, _) = adapter(script);
    let asked = || Some("TRANSFER".parse().unwrap());
    let page = exchange.fetch_income(asked(), window()).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert!(script.asked().last().unwrap().contains("incomeType=TRANSFER&"), "{:?}", script.asked());
    let error = exchange.fetch_income(asked(), window()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Malformed, "{error}");
    assert!(error.to_string().contains("incomeType"), "{error}");
}
