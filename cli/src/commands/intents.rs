//! `fillbook intents`

use ledger_core::{OrderClass, OrderIntent, Sourced};
use ledger_store::{BookOrder, IntentFilter, OrderFilter, Page, PageRequest, Scope, Store, StoreResult};

use super::unseen::Asked;
use super::{conflicts, maybe, print_list, scope, source, text};
use crate::Context;
use crate::args::IntentArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Listing};

/// An intent, and the order that it became.
struct Shown {
    intent: Sourced<OrderIntent>,
    /// `None` where no order with its client order id is on record.
    order: Option<BookOrder>,
}

const LISTING: Listing<Shown> = Listing {
    schema: "fillbook.list.intent/1",
    plural: "intents",
    columns: &[
        Column { key: "created_local", title: "Written", rank: 0, value: |i| Some(i.intent.fact.created_local).into() },
        Column { key: "symbol", title: "Symbol", rank: 0, value: |i| text(&i.intent.fact.symbol) },
        Column { key: "side", title: "Side", rank: 0, value: |i| text(i.intent.fact.side) },
        Column {
            key: "position_side",
            title: "Position",
            rank: 6,
            value: |i| maybe(i.intent.fact.position_side.as_ref()),
        },
        Column { key: "role", title: "Role", rank: 1, value: |i| text(i.intent.fact.role) },
        Column { key: "outcome", title: "Outcome", rank: 0, value: |i| text(i.intent.fact.outcome) },
        Column { key: "client_order_id", title: "Client id", rank: 0, value: |i| text(&i.intent.fact.client_order_id) },
        Column { key: "order_id", title: "Order", rank: 2, value: |i| maybe(i.order().map(|o| &o.key.order_id)) },
        Column { key: "order_status", title: "Status", rank: 2, value: |i| maybe(i.order().map(|o| &o.status)) },
        Column { key: "order_class", title: "Class", rank: 9, value: |i| text(i.intent.fact.class) },
        Column { key: "order_type", title: "Type", rank: 4, value: |i| text(&i.intent.fact.order_type) },
        Column {
            key: "qty",
            title: "Quantity",
            rank: 3,
            value: |i| i.intent.fact.qty.map(ledger_core::Quantity::get).into(),
        },
        Column {
            key: "executed_qty",
            title: "Executed",
            rank: 3,
            value: |i| i.order().and_then(|o| o.executed.as_ref()).map(|e| e.qty).into(),
        },
        Column {
            key: "price",
            title: "Price",
            rank: 5,
            value: |i| i.intent.fact.price.map(ledger_core::Price::get).into(),
        },
        Column {
            key: "trigger_price",
            title: "Trigger",
            rank: 5,
            value: |i| i.intent.fact.trigger_price.map(ledger_core::Price::get).into(),
        },
        Column { key: "reduce_only", title: "Reduce", rank: 9, value: |i| i.intent.fact.reduce_only.into() },
        Column { key: "dca_step", title: "Addition", rank: 9, value: |i| u64::from(i.intent.fact.dca_step).into() },
        Column { key: "attempt", title: "Attempt", rank: 8, value: |i| u64::from(i.intent.fact.attempt).into() },
        Column {
            key: "order_ts",
            title: "Placed",
            rank: 7,
            value: |i| i.order().and_then(|o| o.created).map(|time| time.at).into(),
        },
        Column {
            key: "order_updated_ts",
            title: "Updated",
            rank: 8,
            value: |i| i.order().and_then(|o| o.updated).map(|time| time.at).into(),
        },
        Column { key: "engine", title: "Engine", rank: 4, value: |i| maybe(i.intent.fact.engine.as_ref()) },
        Column { key: "signal_id", title: "Signal", rank: 8, value: |i| maybe(i.intent.fact.signal_id.as_ref()) },
        Column { key: "source", title: "Source", rank: 8, value: |i| source(&i.intent) },
        Column { key: "conflicts", title: "Conflicts", rank: 1, value: |i| conflicts(&i.intent) },
    ],
};

impl Shown {
    async fn of(store: &dyn Store, scope: &Scope, intent: Sourced<OrderIntent>) -> StoreResult<Self> {
        let fact = &intent.fact;
        let filter = OrderFilter {
            client_order_id: Some(fact.client_order_id.clone()),
            ..OrderFilter::from(Scope::symbol(scope.account.clone(), fact.symbol.clone()))
        };
        // A conditional order and the one that it triggered may carry the same id: what executes is the regular one.
        let mut orders = store.orders(&filter, PageRequest::first(super::PAGE)).await?.items;
        orders.sort_by_key(|order| order.order.fact.key.class != OrderClass::Regular);
        Ok(Self { order: orders.into_iter().next(), intent })
    }

    fn order(&self) -> Option<&ledger_core::Order> {
        self.order.as_ref().map(|order| &order.order.fact)
    }
}

/// Lists what was written down before it was sent, by when that was.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &IntentArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let scope = scope(&args.list.scope, context)?;
    let filter = IntentFilter { unresolved_only: args.undecided, ..scope.clone().into() };
    let asked = Asked { symbol: args.list.scope.symbol.as_ref(), ..Asked::default() };
    print_list(context, store.as_ref(), asked, &LISTING, args.list.limit, async |page| {
        let Page { items, next, unreadable } = store.intents(&filter, page).await?;
        let mut shown = Vec::with_capacity(items.len());
        for intent in items {
            shown.push(Shown::of(store.as_ref(), &scope, intent).await?);
        }
        Ok(Page { items: shown, next, unreadable })
    })
    .await
}
