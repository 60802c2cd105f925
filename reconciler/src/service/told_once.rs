//! What is told once though its event comes twice: the exchange sends an event again, and while a connection is renewed two of them
//! tell everything.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_comes_twice_is_told_once`, and another of its kind is told as well.

use std::collections::VecDeque;

use exchange_client::StreamEvent;
use ledger_core::{Decimal, FillKey, OrderId, OrderKey, PositionSide, Symbol, TimestampMs};

/// How many are remembered: more than happen in the seconds that a repetition comes after.
const REMEMBERED_MAX: usize = 64;

/// What makes two events the same one.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// A fill of the exchange's own order.
    Forced(FillKey),
    /// A conditional order that was refused, whichever event says so.
    Refused(Symbol, OrderId),
    /// A warning, and what it is about.
    Warned(TimestampMs, Vec<(Symbol, PositionSide, Decimal)>),
}

/// The last of what was told of single events.
#[derive(Debug, Default)]
pub(super) struct ToldOnce {
    last: VecDeque<Told>,
}

impl ToldOnce {
    /// Whether this was not told before, and notes that it is now. Of all other events that is so each time.
    pub(super) fn is_new(&mut self, event: &StreamEvent) -> bool {
        let Some(told) = told(event) else { return true };
        if self.last.contains(&told) {
            return false;
        }
        if self.last.len() == REMEMBERED_MAX {
            self.last.pop_front();
        }
        self.last.push_back(told);
        true
    }
}

fn told(event: &StreamEvent) -> Option<Told> {
    match event {
        StreamEvent::Order(update) => match (&update.refusal, &update.fill) {
            (Some(_), _) => {
                let OrderKey { symbol, order_id, .. } = &update.order.key;
                Some(Told::Refused(symbol.clone(), order_id.clone()))
            }
            (None, Some(fill)) => Some(Told::Forced(fill.key.clone())),
            (None, None) => None,
        },
        StreamEvent::TriggerRejected(rejection) => {
            Some(Told::Refused(rejection.symbol.clone(), rejection.order_id.clone()))
        }
        StreamEvent::MarginCall(call) => {
            let about = call.positions.iter().map(|it| (it.symbol.clone(), it.position_side, it.qty));
            Some(Told::Warned(call.told_at, about.collect()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange_client::{MarginCall, TriggerRejection};

    use ledger_core::testing::at;

    use super::*;

    fn refused(id: &str) -> StreamEvent {
        StreamEvent::TriggerRejected(TriggerRejection {
            told_at: at(1),
            symbol: Symbol::new("BTCUSDT").unwrap(),
            order_id: OrderId::new(id).unwrap(),
            reason: String::new(),
            payload: Arc::from("{}"),
        })
    }

    fn warned(ms: i64) -> StreamEvent {
        let positions = Vec::new();
        StreamEvent::MarginCall(MarginCall { told_at: at(ms), cross_wallet: None, positions, payload: Arc::from("{}") })
    }

    #[test]
    fn what_comes_twice_is_told_once() {
        let mut told = ToldOnce::default();
        assert!([refused("1"), warned(1), refused("2"), warned(2)].iter().all(|event| told.is_new(event)));
        assert!(![refused("1"), warned(1), refused("2"), warned(2)].iter().any(|event| told.is_new(event)));
        // What is no single thing is told as often as it comes.
        let opened = StreamEvent::Opened { at: at(1) };
        assert!(told.is_new(&opened) && told.is_new(&opened));
        // It remembers the last ones, not all that there ever were.
        for nth in 0..REMEMBERED_MAX {
            assert!(told.is_new(&warned(100 + i64::try_from(nth).unwrap())));
        }
        assert_eq!(told.last.len(), REMEMBERED_MAX);
        assert!(told.is_new(&warned(1)));
    }
}
