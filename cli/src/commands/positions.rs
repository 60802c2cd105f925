//! `fillbook positions`

use ledger_core::Certainty;
use ledger_store::BookPosition;

use super::unseen::{self, Asked};
use super::{maybe, text};
use crate::Context;
use crate::args::PositionArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Listing};

pub(super) const LISTING: Listing<BookPosition> = Listing {
    schema: "fillbook.list.position/1",
    plural: "positions",
    columns: &[
        Column { key: "symbol", title: "Symbol", rank: 0, value: |p| text(&p.symbol) },
        Column { key: "position_side", title: "Position", rank: 1, value: |p| text(p.position.position_side) },
        Column { key: "qty", title: "Quantity", rank: 0, value: |p| p.position.qty.into() },
        Column { key: "entry_price_avg", title: "Entry", rank: 0, value: |p| p.position.entry_price_avg.into() },
        Column { key: "open_cost", title: "Cost", rank: 9, value: |p| p.position.open_cost.into() },
        Column {
            key: "mark_price",
            title: "Mark",
            rank: 3,
            value: |p| p.mark.as_ref().map(|mark| mark.price.get()).into(),
        },
        Column { key: "unrealized_pnl", title: "Unrealized", rank: 2, value: |p| p.unreal_pnl.into() },
        Column { key: "realized_pnl", title: "Realized", rank: 0, value: |p| Cell::Certain(p.position.realized) },
        Column { key: "settle_asset", title: "Asset", rank: 0, value: |p| text(&p.settle_asset) },
        Column { key: "fees", title: "Fees", rank: 2, value: |p| Cell::Assets(p.position.fees.clone()) },
        Column { key: "funding", title: "Funding", rank: 3, value: |p| Cell::Assets(p.position.funding.clone()) },
        Column { key: "fill_count", title: "Fills", rank: 5, value: |p| p.position.fill_count.into() },
        Column { key: "updated_ts", title: "Updated", rank: 4, value: |p| p.position.updated_at.into() },
        Column { key: "certainty", title: "Certainty", rank: 1, value: certainty },
        Column {
            key: "exchange_qty",
            title: "At exchange",
            rank: 2,
            value: |p| p.exchange.as_ref().map(|e| e.qty).into(),
        },
        Column { key: "reconcile_status", title: "Status", rank: 1, value: |p| maybe(p.reconcile_status.as_ref()) },
    ],
};

fn certainty(position: &BookPosition) -> Cell {
    position.position.certainty.as_str().into()
}

/// Lists positions by symbol.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &PositionArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let account = &context.settings.account;
    super::warn_of_left_out(store.as_ref(), account, &mut context.output).await?;
    let mut positions = store.positions(account).await?;
    if let Some(symbol) = &args.symbol {
        positions.retain(|position| position.symbol == *symbol);
    }
    let flat_count = positions.len();
    if !args.all {
        positions
            .retain(|position| !position.position.qty.is_zero() || position.position.certainty != Certainty::Known);
    }
    let flat_count = flat_count - positions.len();
    context.output.list(&LISTING, &positions)?;
    let flat = match flat_count {
        0 => String::new(),
        1 => " 1 position is flat; --all shows it.".to_owned(),
        count => format!(" {count} positions are flat; --all shows them."),
    };
    match (positions.is_empty(), flat.is_empty()) {
        (true, true) => {
            context.output.remark("No positions.");
            let asked = Asked { symbol: args.symbol.as_ref(), ..Asked::default() };
            unseen::explain(store.as_ref(), account, asked, &mut context.output).await?;
        }
        (true, false) => context.output.remark(&format!("No open positions.{flat}")),
        (false, false) => context.output.remark(flat.trim_start()),
        (false, true) => {}
    }
    Ok(ExitCode::Fine)
}
