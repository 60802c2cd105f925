//! A bot that has no book: it sends, and tells nobody.

use exchange_client::{ExchangeTrader, NewOrder, OrderKind, OrderSize, Stated};
use ledger_core::{ClientOrderId, Order};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Desk, Wish, closing, opening};

pub(in crate::simulation) async fn live(desk: Desk, mut wishes: UnboundedReceiver<(usize, Wish)>) {
    let mut last = None;
    while let Some((number, wish)) = wishes.recv().await {
        let (symbol, direction, qty, closes) = match (wish, last.take()) {
            (Wish::Enter { symbol, direction, qty, .. }, _) => (symbol, direction, qty, false),
            (Wish::Close, Some((symbol, direction, qty))) => (symbol, direction, qty, true),
            (Wish::Close, None) => continue,
        };
        let side = if closes { closing(direction) } else { opening(direction) };
        let order = NewOrder {
            client_order_id: ClientOrderId::new(format!("bot-{number}")).unwrap(),
            symbol: symbol.clone(),
            side,
            position_side: desk.position_side(direction),
            kind: OrderKind::Market,
            size: OrderSize::Qty(qty.parse().unwrap()),
            reduce_only: false,
        };
        let sent: Option<Stated<Order>> = desk.exchange.create_order(order).await.done();
        desk.note(&format!("a bot without a book sends {side} {qty} {symbol}: {}", sent.is_some()));
        if !closes {
            last = Some((symbol, direction, qty));
        }
    }
}
