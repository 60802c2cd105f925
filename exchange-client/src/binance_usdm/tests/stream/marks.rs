//! The stream of mark prices.

use super::*;
use crate::api::{MarkEvent, MarkStreams};

/// Two of the array's elements as they are documented, one of a contract that is delivered instead of funded.
const MARKS: &str = r#"[{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000},
 {"e":"markPriceUpdate","E":1562305380001,"s":"BTCUSDT_260925","p":"11900.5","i":"11784.62659091","P":"11784.25641265","r":"","T":0}]"#;

#[tokio::test(start_paused = true)]
async fn marks_are_read_with_their_times() {
    let envelope = format!(r#"{{"stream":"!markPrice@arr@1s","data":{MARKS}}}"#);
    let wire =
        Wire::default().then(vec![text(MARKS), text(&envelope), text(r#"[{"s":"BTCUSDT","p":1.5,"E":1}]"#), text("[")]);
    let house = house(wire);
    let mut stream = house.streams.mark_stream();
    for _ in 0..2 {
        let MarkEvent::Marks(rows) = stream.next().await else { panic!() };
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let price = &row.entity.price;
                let next = row.entity.next_funding.map(TimestampMs::as_ms);
                (price.symbol.as_str(), price.at.as_ms(), price.price.to_string(), next)
            })
            .collect();
        let expected = [
            ("BTCUSDT", 1_562_305_380_000, "11794.15".to_owned(), Some(1_562_306_400_000)),
            ("BTCUSDT_260925", 1_562_305_380_001, "11900.5".to_owned(), None),
        ];
        assert_eq!(rows, expected);
    }
    for _ in 0..2 {
        assert!(matches!(stream.next().await, MarkEvent::Unreadable(_)));
    }
    let asked = house.wire.asked.lock().unwrap();
    assert_eq!((asked[0].0.path.as_str(), asked[0].0.query.as_str()), ("/market/ws/!markPrice@arr@1s", ""));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_marks_that_tells_nothing_is_made_anew() {
    // It stands and answers pings, as on an address without its category.
    let pings = (0..100).map(|_| (Duration::from_secs(5), Ok(StreamFrame::Ping)));
    let house = house(Wire::default().then(pings.collect()).then(vec![text(MARKS)]));
    let mut stream = house.streams.mark_stream();
    let begun = Instant::now();
    assert!(matches!(stream.next().await, MarkEvent::Interrupted(Interruption::Silent { .. })));
    assert_eq!(begun.elapsed(), Duration::from_secs(15));
    assert!(matches!(stream.next().await, MarkEvent::Marks(_)));
    assert!(begun.elapsed() < Duration::from_secs(20));
}
