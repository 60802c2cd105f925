//! The order of events.

use super::*;

#[test]
fn events_out_of_order_are_refused() {
    let mut book = Book::default();
    let (first, second) = (book.next_fill("BUY 1 @ 100"), book.next_fill("BUY 1 @ 100"));
    let mut fold = book.fold.clone();
    fold.apply(FoldEvent::Fill { fill: &second, order: None }).unwrap();
    let before = fold.clone();
    for (fill, error) in [
        (first.clone(), FoldError::OutOfOrder { fill_id: first.key.fill_id.clone() }),
        (second.clone(), FoldError::OutOfOrder { fill_id: second.key.fill_id.clone() }),
    ] {
        assert_eq!(fold.apply(FoldEvent::Fill { fill: &fill, order: None }).err(), Some(error));
    }
    let mut unsided = book.next_fill("BUY 1 @ 100");
    unsided.position_side = None;
    assert!(matches!(
        fold.apply(FoldEvent::Fill { fill: &unsided, order: None }),
        Err(FoldError::NoPositionSide { .. })
    ));
    let mut foreign = unsided;
    foreign.key.symbol = ledger_core::Symbol::new("ETHUSDT").unwrap();
    let error = fold.apply(FoldEvent::Fill { fill: &foreign, order: None }).unwrap_err();
    assert!(matches!(error, FoldError::WrongSymbol { .. }), "{error}");
    assert_eq!(fold, before, "what is refused changes nothing");
}

#[test]
fn fills_with_and_without_a_sequence_have_no_order() {
    let mut book = Book::default();
    let (numbered, mut bare) = (book.next_fill("BUY 1 @ 100"), book.next_fill("SELL 1 @ 100"));
    bare.sequence = None;
    for (first, second) in [(&numbered, &bare), (&bare, &numbered)] {
        let mut fold = book.fold.clone();
        fold.apply(FoldEvent::Fill { fill: first, order: None }).unwrap();
        let before = fold.clone();
        let error = fold.apply(FoldEvent::Fill { fill: second, order: None }).unwrap_err();
        assert_eq!(error, FoldError::MixedSequences { fill_id: second.key.fill_id.clone() });
        assert_eq!(fold, before, "what is refused changes nothing");
    }
    let mut later = bare.clone();
    (later.key.fill_id, later.time) = ("9".parse().unwrap(), ledger_core::EventTime::ms(support::at(900_000)));
    let mut fold = book.fold.clone();
    for fill in [&bare, &later] {
        fold.apply(FoldEvent::Fill { fill, order: None }).unwrap();
    }
}
