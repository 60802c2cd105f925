//! Findings and repairs as lists: each for programs, those of one cause together for people.

use ledger_core::{AccountId, TimestampMs};
use reconciler::{FindingReport, RepairReport, Subject};

use super::super::{maybe, text};
use crate::output::groups::{Group, id_range};
use crate::output::{Cell, Column, Listing, NOT_IN_TABLES, ONLY_IN_TABLES};

/// A line of a list, with the account that it is about and the time at which it is looked at.
pub(super) struct Of<T> {
    pub(super) account: AccountId,
    pub(super) item: T,
    pub(super) now: TimestampMs,
}

/// How long ago it was seen first; nothing when that is now.
fn age(found: &Of<FindingReport>) -> Cell {
    let first = found.item.first_seen_local;
    first.map_or(Cell::Empty, |first| Cell::Span(found.now.as_ms().saturating_sub(first.as_ms())))
}

pub(super) const FINDINGS: Listing<Of<FindingReport>> = Listing {
    schema: "fillbook.reconcile.finding/1",
    plural: "findings",
    columns: &[
        Column { key: "account", title: "Account", rank: NOT_IN_TABLES, value: |f| text(&f.account) },
        Column { key: "kind", title: "Found", rank: 0, value: |f| text(f.item.finding.kind) },
        Column { key: "symbol", title: "Symbol", rank: 1, value: |f| maybe(f.item.finding.symbol.as_ref()) },
        Column { key: "status", title: "Status", rank: 2, value: |f| text(f.item.status) },
        Column { key: ONLY_IN_TABLES, title: "Age", rank: 1, value: age },
        Column {
            key: "first_seen_local",
            title: "First seen",
            rank: NOT_IN_TABLES,
            value: |f| f.item.first_seen_local.into(),
        },
        Column { key: "evidence", title: "Evidence", rank: 0, value: |f| text(&f.item.finding.evidence) },
        Column {
            key: "settled_by",
            title: "Settled by",
            rank: NOT_IN_TABLES,
            value: |f| text(f.item.finding.settled_by.as_str()),
        },
        Column { key: "about", title: "About", rank: NOT_IN_TABLES, value: |f| text(&f.item.finding.subject) },
        Column {
            key: "discrepancy",
            title: "No.",
            rank: NOT_IN_TABLES,
            value: |f| f.item.id.and_then(|id| u64::try_from(id).ok()).into(),
        },
    ],
};

/// Findings of one kind, symbol and status, for people.
pub(super) const FINDING_GROUPS: Listing<Group<Of<FindingReport>>> = Listing {
    schema: "",
    plural: "findings",
    columns: &[
        Column { key: ONLY_IN_TABLES, title: "Found", rank: 0, value: |g| text(g.first.item.finding.kind) },
        Column {
            key: ONLY_IN_TABLES,
            title: "Symbol",
            rank: 1,
            value: |g| maybe(g.first.item.finding.symbol.as_ref()),
        },
        Column { key: ONLY_IN_TABLES, title: "Status", rank: 2, value: |g| text(g.first.item.status) },
        Column { key: ONLY_IN_TABLES, title: "Age", rank: 1, value: |g| g.items().map(age).fold(Cell::Empty, older) },
        Column {
            key: ONLY_IN_TABLES,
            title: "Evidence",
            rank: 0,
            value: |g| text(g.told(&g.first.item.finding.evidence, subjects(g))),
        },
    ],
};

/// Repairs of one kind and symbol, for people.
pub(super) const REPAIR_GROUPS: Listing<Group<Of<RepairReport>>> = Listing {
    schema: "",
    plural: "repairs",
    columns: &[
        Column { key: ONLY_IN_TABLES, title: "Repaired", rank: 0, value: |g| text(g.first.item.kind) },
        Column { key: ONLY_IN_TABLES, title: "Symbol", rank: 1, value: |g| maybe(g.first.item.symbol.as_ref()) },
        Column {
            key: ONLY_IN_TABLES,
            title: "Because",
            rank: 0,
            value: |g| text(g.told(&g.first.item.cause, numbers(g))),
        },
    ],
};

/// The longer of two spans.
fn older(one: Cell, other: Cell) -> Cell {
    match (&one, &other) {
        (Cell::Span(first), Cell::Span(second)) => {
            if first >= second {
                one
            } else {
                other
            }
        }
        (Cell::Empty, _) => other,
        _ => one,
    }
}

/// From which to which trade or order a group's findings are about.
fn subjects(group: &Group<Of<FindingReport>>) -> Option<String> {
    let subjects = || group.items().map(|of| &of.item.finding.subject);
    let trades = subjects().filter_map(|subject| match subject {
        Subject::Fill(key) => Some(key.fill_id.as_str()),
        Subject::Ledger(_, fill_id, ..) => Some(fill_id.as_str()),
        _ => None,
    });
    let orders = subjects().filter_map(|subject| match subject {
        Subject::Order(key) => Some(key.order_id.as_str()),
        _ => None,
    });
    id_range("trades", trades).or_else(|| id_range("orders", orders))
}

/// The numbers of repairs in the journal.
fn numbers(group: &Group<Of<RepairReport>>) -> Option<String> {
    let ids: Vec<String> = group.items().filter_map(|of| of.item.id).map(|id| id.to_string()).collect();
    id_range("repairs", ids.iter().map(String::as_str))
}

pub(super) const REPAIRS: Listing<Of<RepairReport>> = Listing {
    schema: "fillbook.reconcile.repair/1",
    plural: "repairs",
    columns: &[
        Column { key: "account", title: "Account", rank: NOT_IN_TABLES, value: |r| text(&r.account) },
        Column { key: "kind", title: "Repaired", rank: 0, value: |r| text(r.item.kind) },
        Column { key: "symbol", title: "Symbol", rank: 1, value: |r| maybe(r.item.symbol.as_ref()) },
        Column { key: "cause", title: "Because", rank: 0, value: |r| text(&r.item.cause) },
        Column {
            key: "repair",
            title: "No.",
            rank: NOT_IN_TABLES,
            value: |r| r.item.id.and_then(|id| u64::try_from(id).ok()).into(),
        },
    ],
};
