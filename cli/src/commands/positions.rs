//! `fillbook positions`

use std::collections::BTreeSet;

use ledger_core::{Certainty, Decimal, Freshness, PriceSnapshot, Staleness};
use ledger_store::{BookPosition, ReconcileStatus, Store, StoreError};

use super::unseen::{self, Asked};
use super::{maybe, text};
use crate::Context;
use crate::args::PositionArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Format, Listing, NOT_IN_TABLES, ONLY_IN_TABLES, show_span};

/// A position with what of it comes from the exchange, and when that was.
struct Shown {
    held: BookPosition,
    /// How current the exchange's word and the mark are.
    exchange: Option<Freshness>,
    mark: Option<(PriceSnapshot, Freshness)>,
    /// At that mark.
    unrealized: Option<Decimal>,
    /// Whether the exchange has liquidated a part of it.
    was_liquidated: bool,
}

impl std::ops::Deref for Shown {
    type Target = BookPosition;

    fn deref(&self) -> &BookPosition {
        &self.held
    }
}

const LISTING: Listing<Shown> = Listing {
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
            value: |p| p.mark.as_ref().map(|(mark, _)| mark.price.get()).into(),
        },
        Column {
            key: "mark_ts",
            title: "",
            rank: NOT_IN_TABLES,
            value: |p| p.mark.as_ref().map(|(mark, _)| mark.at).into(),
        },
        Column {
            key: "mark_stale",
            title: "",
            rank: NOT_IN_TABLES,
            value: |p| p.mark.as_ref().map(|(_, freshness)| !freshness.is_fresh()).into(),
        },
        Column { key: "unrealized_pnl", title: "Unrealized", rank: 2, value: |p| p.unrealized.into() },
        // It stays as long as the profit does: that is worth what the market said then.
        Column {
            key: ONLY_IN_TABLES,
            title: "Marked",
            rank: 1,
            value: |p| p.mark.as_ref().filter(|_| p.unrealized.is_some()).map(|(_, freshness)| age(*freshness)).into(),
        },
        Column {
            key: "realized_pnl",
            title: "Realized",
            rank: 0,
            value: |p| Cell::Certain(p.position.since_opened.realized),
        },
        Column {
            key: "realized_pnl_ever",
            title: "Realized ever",
            rank: 0,
            value: |p| Cell::Certain(p.position.realized),
        },
        Column { key: "settle_asset", title: "Asset", rank: 0, value: |p| text(&p.settle_asset) },
        Column { key: "fees", title: "Fees", rank: 2, value: |p| Cell::Assets(p.position.since_opened.fees.clone()) },
        Column { key: "fees_ever", title: "Fees ever", rank: 6, value: |p| Cell::Assets(p.position.fees.clone()) },
        Column {
            key: "funding",
            title: "Funding",
            rank: 3,
            value: |p| Cell::Assets(p.position.since_opened.funding.clone()),
        },
        Column {
            key: "funding_ever",
            title: "Funding ever",
            rank: 6,
            value: |p| Cell::Assets(p.position.funding.clone()),
        },
        Column {
            key: "clearance",
            title: "Clearance",
            rank: 4,
            value: |p| Cell::Assets(p.position.since_opened.clearance.clone()),
        },
        Column {
            key: "clearance_ever",
            title: "Clearance ever",
            rank: 6,
            value: |p| Cell::Assets(p.position.clearance.clone()),
        },
        Column { key: "fill_count", title: "Fills", rank: 5, value: |p| p.position.fill_count.into() },
        Column { key: "updated_ts", title: "Updated", rank: 4, value: |p| p.position.updated_at.into() },
        Column { key: "certainty", title: "Certainty", rank: 1, value: certainty },
        Column { key: "was_liquidated", title: "", rank: NOT_IN_TABLES, value: |p| p.was_liquidated.into() },
        Column {
            key: "exchange_qty",
            title: "At exchange",
            rank: 2,
            value: |p| p.held.exchange.as_ref().map(|e| e.qty).into(),
        },
        Column {
            key: "exchange_ts",
            title: "",
            rank: NOT_IN_TABLES,
            value: |p| p.exchange.and_then(|seen| seen.seen_at).into(),
        },
        Column {
            key: "exchange_stale",
            title: "",
            rank: NOT_IN_TABLES,
            value: |p| p.exchange.and_then(|seen| seen.stale).map(Staleness::as_str).into(),
        },
        Column {
            key: "reconcile_status",
            title: "",
            rank: NOT_IN_TABLES,
            value: |p| maybe(p.reconcile_status.as_ref()),
        },
        Column { key: ONLY_IN_TABLES, title: "Seen", rank: 1, value: |p| p.exchange.map(age).into() },
        Column { key: ONLY_IN_TABLES, title: "Status", rank: 1, value: status },
    ],
};

fn certainty(position: &Shown) -> Cell {
    position.position.certainty.as_str().into()
}

/// `5 min ago`; nothing where nothing tells.
pub(super) fn age(freshness: Freshness) -> String {
    match freshness.stale {
        Some(Staleness::Ahead) => "ahead of the clock".to_owned(),
        _ => freshness.age_ms.map_or_else(String::new, |age_ms| format!("{} ago", show_span(age_ms))),
    }
}

/// How both sides compare, and whether that still says anything.
fn status(position: &Shown) -> Cell {
    let liquidated = if position.was_liquidated { "partly liquidated" } else { "" };
    let Some(status) = position.reconcile_status else { return liquidated.into() };
    let status = if liquidated.is_empty() { status.to_string() } else { format!("{status}, {liquidated}") };
    let stale = position.exchange.and_then(|exchange| exchange.stale);
    match stale {
        None => status.into(),
        Some(Staleness::Overtaken) => format!("{status}, overtaken").into(),
        Some(Staleness::Never | Staleness::Ahead | Staleness::Age) => format!("{status}, stale").into(),
    }
}

/// What the positions say of the exchange that may no longer be so, in words.
fn staleness(shown: &[Shown]) -> Option<String> {
    let named = |of: &dyn Fn(&&Shown) -> bool| {
        let symbols: BTreeSet<&str> = shown.iter().filter(of).map(|position| position.symbol.as_str()).collect();
        symbols.into_iter().collect::<Vec<_>>().join(", ")
    };
    let by = |kinds: &'static [Staleness]| {
        named(&move |p: &&Shown| {
            p.exchange.and_then(|exchange| exchange.stale).is_some_and(|stale| kinds.contains(&stale))
        })
    };
    let old = by(&[Staleness::Age, Staleness::Ahead, Staleness::Never]);
    let overtaken = by(&[Staleness::Overtaken]);
    let marks = named(&|p: &&Shown| {
        p.unrealized.is_some() && p.mark.as_ref().is_some_and(|(_, freshness)| !freshness.is_fresh())
    });
    let part = |names: String, what: &str| (!names.is_empty()).then(|| format!("{what} {names}"));
    let parts = [
        part(old, "what the exchange holds of"),
        part(overtaken, "what the exchange held, before the latest fills or ledger rows, of"),
        part(marks, "the mark, and so the unrealized profit, of"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Stale: {}. `fillbook sync` looks again.", parts.join("; ")))
}

/// Whether a position may be open although it is flat by what is on record: nothing proves that, and the exchange has not said
/// the same. A profit that is an estimate opens nothing.
fn may_be_open(position: &BookPosition) -> bool {
    position.position.qty.is_zero()
        && position.position.certainty != Certainty::Known
        && position.reconcile_status != Some(ReconcileStatus::Matched)
}

/// Which of them stand in the list of open positions although they are flat, in words.
fn unproven(shown: &[Shown]) -> Option<String> {
    let flat = shown.iter().filter(|position| may_be_open(&position.held));
    let names: Vec<_> = flat.map(|position| position.symbol.as_str()).collect();
    (!names.is_empty())
        .then(|| format!("Flat by what is on record, which nothing proves so far: {}.", names.join(", ")))
}

/// The positions with how current what the exchange said of them is.
async fn shown(store: &dyn Store, positions: Vec<BookPosition>, context: &Context) -> Result<Vec<Shown>, CommandError> {
    let settings = &context.settings;
    let state = super::currency(store, context).await?;
    let open = match store.open_trips(&settings.account).await {
        // A round trip that cannot be read hides no position: `report` and `verify` name it.
        Err(StoreError::CorruptRow { .. }) => Vec::new(),
        open => open?,
    };
    let liquidated: BTreeSet<_> =
        open.iter().filter(|trip| trip.was_liquidated).map(|trip| (trip.symbol.clone(), trip.position_side)).collect();
    let mut shown = Vec::with_capacity(positions.len());
    for held in positions {
        let key = (held.symbol.clone(), held.position.position_side);
        let known = state.as_ref().and_then(|state| state.positions.get(&key).cloned());
        let mut unrealized = held.unreal_pnl;
        // What the book derived rests on the latest price that was worth recording; the last look saw a later one.
        if let Some((mark, _)) =
            known.as_ref().filter(|known| known.is_marked_anew).and_then(|known| known.mark.as_ref())
            && let Some(open) = &held.position.position
            && let Some(instrument) = store.instrument(&settings.account, &held.symbol).await?
        {
            unrealized = Some(open.unrealized((&instrument.fact).into(), mark.price)?.to_decimal()?);
        }
        let (exchange, mark) = match known {
            Some(known) => (known.exchange, known.mark),
            // Nothing tells how old these are.
            None => (
                held.exchange.as_ref().map(|_| Freshness::UNKNOWN),
                held.mark.clone().map(|mark| (mark, Freshness::UNKNOWN)),
            ),
        };
        let was_liquidated = liquidated.contains(&key);
        shown.push(Shown { held, exchange, mark, unrealized, was_liquidated });
    }
    Ok(shown)
}

/// Lists positions by symbol.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &PositionArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let account = &context.settings.account;
    let lacks = super::warn_of_lacking(store.as_ref(), account, &mut context.output).await?;
    let mut positions = store.positions(account).await?;
    if let Some(symbol) = &args.symbol {
        positions.retain(|position| position.symbol == *symbol);
    }
    let flat_count = positions.len();
    if !args.all {
        positions.retain(|position| !position.position.qty.is_zero() || may_be_open(position));
    }
    let flat_count = flat_count - positions.len();
    let positions = shown(store.as_ref(), positions, context).await?;
    context.output.list(&LISTING, &positions)?;
    if context.output.format == Format::Table {
        let unproven = unproven(&positions).filter(|_| !args.all);
        for remark in staleness(&positions).into_iter().chain(unproven) {
            context.output.paragraph(&remark)?;
        }
    }
    let flat = match flat_count {
        0 => String::new(),
        1 => " 1 position is flat; --all shows it.".to_owned(),
        count => format!(" {count} positions are flat; --all shows them."),
    };
    match (positions.is_empty(), flat.is_empty()) {
        (true, true) => {
            context.output.remark(if lacks { "No position that can be computed." } else { "No positions." });
            let asked = Asked { symbol: args.symbol.as_ref(), ..Asked::default() };
            unseen::explain(store.as_ref(), account, asked, &mut context.output).await?;
        }
        (true, false) => context.output.remark(&format!("No open positions.{flat}")),
        (false, false) => context.output.remark(flat.trim_start()),
        (false, true) => {}
    }
    Ok(ExitCode::Fine)
}
