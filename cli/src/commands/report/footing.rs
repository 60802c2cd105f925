//! The footing of a report: a line an asset for people, an object an asset for programs, rows of terms for spreadsheets.

use exchange_client::files::Zone;
use ledger_core::footing::{
    AssetFooting, Equity, FootingOutcome, NotTied, Stretch, Unexplained, UnexplainedPlace, Unrealized, WalletAt,
};
use ledger_core::{Certainty, Decimal, Symbol, TimestampMs};
use serde_json::{Value, json};

use crate::output::Cell;
use crate::times::show_time;

/// How many decimals people see.
const SHOWN_SCALE: u8 = 8;

/// A term: its name for programs and for people, and its amount as it is added.
pub(super) struct Term {
    pub(super) key: String,
    name: String,
    pub(super) amount: Decimal,
}

/// What explains how the wallet moved, in the order of the formula.
pub(super) fn terms(footing: &AssetFooting) -> Vec<Term> {
    let terms = &footing.terms;
    let term = |key: &str, name: &str, amount| Term { key: key.to_owned(), name: name.to_owned(), amount };
    let mut all = vec![
        term("closed_trips", "closed trips", terms.closed),
        term("carried_in", "carried in", -terms.carried_in),
        term("carried_out", "carried out", -terms.carried_out),
        term("open_trips", "open trips", terms.open),
        term("in_place_of_unknown", "ledger entries in place of unknown amounts", terms.stand_in),
        term("rounding", "rounding", terms.rounding),
        term("contracts", "contract entries in no trip", terms.contracts),
        term("account", "account entries", terms.account),
        term("liquidations", "liquidation entries of the account", terms.liquidations),
        term("conversions", "conversions", terms.conversions),
        term("transfers", "transfers", terms.transfers),
    ];
    for (income_type, unknown) in terms.unknown.iter().filter(|(_, unknown)| unknown.is_added != Some(false)) {
        let proof = if unknown.is_added.is_some() { "proven by the wallet" } else { "not documented" };
        all.push(term(&format!("unknown:{income_type}"), &format!("{income_type} ({proof})"), unknown.amount));
    }
    all.push(term("unexplained", "unexplained", footing.unexplained));
    all
}

/// The footing of an asset in words.
pub(super) fn line(footing: &AssetFooting, zone: &Zone) -> String {
    let asset = &footing.asset;
    let sum = equation(footing);
    let mut line = match footing.outcome {
        FootingOutcome::Ties if footing.of_contract => format!("{asset} ties to the contract's ledger entries: {sum}."),
        FootingOutcome::Ties => format!("{asset} ties: {sum}."),
        FootingOutcome::Differs => {
            format!("{asset} differs by {}: {sum}. {}", shown(footing.unexplained), where_not(footing, zone))
        }
        FootingOutcome::NotTied => {
            let reasons: Vec<_> = footing.reasons.iter().map(|reason| why(reason, zone)).collect();
            let reasons = reasons.join("; ");
            let where_not = if footing.contradicted.is_empty() { String::new() } else { where_not(footing, zone) };
            if footing.unexplained.is_zero() {
                format!("{asset} cannot be tied: {reasons}. By the ledger: {sum}.")
            } else {
                // What is missing is not known to be wrong, so both sides stand as they are.
                let told = terms(footing).into_iter().filter(|term| term.key != "unexplained");
                let what =
                    if footing.after.is_some() { "the wallet moved by" } else { "the ledger's entries add up to" };
                format!(
                    "{asset} cannot be tied: {reasons}. By the book {}; {what} {}. {where_not}",
                    added(String::new(), told),
                    shown(footing.moved)
                )
            }
        }
    };
    if !footing.outvoted.is_empty() {
        let at: Vec<_> = footing.outvoted.iter().map(|at| show_time(*at, zone)).collect();
        line = format!(
            "{} Left out: what the exchange said of the wallet at {}, which the looks before and after contradict.",
            line.trim_end(),
            at.join(", ")
        );
    }
    if let Some(part) = &footing.looked_at {
        line = format!("{line} Of that, {}: {}", between(part.period, zone), self::line(part, zone));
    }
    if let Some(equity) = footing.equity.as_ref().filter(|equity| equity.has_positions()) {
        line = format!("{} {}", line.trim_end(), worth(equity, zone));
    }
    line.trim_end().to_owned()
}

/// What the account is worth with its open positions, and what it was worth before. The difference is no profit: transfers are in it.
fn worth(equity: &Equity, zone: &Zone) -> String {
    let edge = |unrealized: &Unrealized| {
        let marks = unrealized.marked_at.map(|at| format!(" at marks of {}", show_time(at, zone)));
        let amount = Cell::Certain(unrealized.total).table(zone);
        unrealized.amount().map(|_| format!("{amount} unrealized{}", marks.unwrap_or_default()))
    };
    let unknown = |unrealized: &Unrealized| {
        let names: Vec<_> = unrealized.unknown.iter().map(Symbol::as_str).collect();
        format!("what was open of {} has no mark price or is not known", names.join(", "))
    };
    let after = match (equity.amount_after(), edge(&equity.after)) {
        (Some(amount), Some(open)) => format!("Equity {}, with {open}", shown(amount)),
        _ => format!("Equity at the end is not known: {}", unknown(&equity.after)),
    };
    match equity.amount_before() {
        Some(before) => format!("{after}; before the period it was {}.", shown(before)),
        None => format!("{after}. Before the period it is not known: {}.", unknown(&equity.before)),
    }
}

fn shown(amount: Decimal) -> String {
    Cell::Number(amount).table(&Zone::utc())
}

/// Adds terms to what stands before them; those of 0 are left out.
fn added(mut text: String, terms: impl Iterator<Item = Term>) -> String {
    for term in terms.filter(|term| !term.amount.round(SHOWN_SCALE).is_zero()) {
        let sign = match (text.is_empty(), term.amount.is_negative()) {
            (true, true) => "-",
            (true, false) => "",
            (false, true) => " - ",
            (false, false) => " + ",
        };
        text = format!("{text}{sign}{} {}", shown(term.amount.abs()), term.name);
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

/// `100 (derived) + 5 transfers - 2 closed trips = 103`; terms of 0 are left out.
fn equation(footing: &AssetFooting) -> String {
    let wallet = |wallet: &WalletAt| {
        let basis = if wallet.is_stated { "" } else { " (derived)" };
        format!("{}{basis}", shown(wallet.amount))
    };
    let before = footing.before.as_ref().map(|before| format!("wallet {}", wallet(before))).unwrap_or_default();
    let text = added(before, terms(footing).into_iter());
    let after = footing.after.as_ref().map_or_else(|| shown(footing.moved), wallet);
    format!("{text} = {after}")
}

fn between(stretch: Stretch, zone: &Zone) -> String {
    let since = stretch.since.map(|since| format!("from {}", show_time(since, zone)));
    let until = stretch.until.map(|until| format!("before {}", show_time(until, zone)));
    let both: Vec<_> = since.into_iter().chain(until).collect();
    if both.is_empty() { "at any time".to_owned() } else { both.join(" and ") }
}

fn why(reason: &NotTied, zone: &Zone) -> String {
    match reason {
        NotTied::NeverLooked => "no look at this wallet is on record".to_owned(),
        NotTied::NoLookBefore { first } => {
            format!("the first look at the wallet was at {}", show_time(*first, zone))
        }
        NotTied::NoLookAfter { last } => format!("the last look at the wallet was at {}", show_time(*last, zone)),
        NotTied::Unexplained { since, until } => format!(
            "the wallet moved without an entry between {} and {}, so nobody knows what was in it at an edge of the period",
            show_time(*since, zone),
            show_time(*until, zone)
        ),
        NotTied::Unread { since, until } if *since == ledger_core::TimestampMs::MIN => {
            format!("the exchange's ledger before {} was not read", show_time(*until, zone))
        }
        NotTied::Unread { since, until } => format!(
            "the exchange's ledger between {} and {} was not read",
            show_time(*since, zone),
            show_time(*until, zone)
        ),
        NotTied::Lagging { reached } => {
            format!("the exchange may not list the entries after {} yet", show_time(*reached, zone))
        }
        NotTied::Unreadable => "rows of the book cannot be read".to_owned(),
        NotTied::UnknownType(income_type) => format!("what {income_type} does to the wallet is not documented"),
    }
}

/// Where something is not explained.
fn where_not(footing: &AssetFooting, zone: &Zone) -> String {
    let parts = footing.parts.iter().map(|part| {
        let Unexplained { place, amount, stretches } = part;
        let amount = shown(*amount);
        let what = match place {
            UnexplainedPlace::Wallet => format!("No ledger entry explains {amount} in the wallet"),
            UnexplainedPlace::Realized(symbol) => {
                format!("{symbol}: {amount} apart in realized profit (ledger - fills)")
            }
            UnexplainedPlace::Fees(symbol) => {
                format!("{symbol}: {amount} apart in fees, a paid fee being negative (ledger - fills)")
            }
            UnexplainedPlace::Position(symbol) => {
                format!("{symbol}: {amount} apart in funding, liquidation costs and settlements (ledger - trips)")
            }
        };
        let when: Vec<_> = stretches
            .iter()
            .filter(|stretch| **stretch != Stretch::default())
            .map(|stretch| between(*stretch, zone))
            .collect();
        if when.is_empty() { format!("{what}.") } else { format!("{what} ({}).", when.join(" or ")) }
    });
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "No contract explains it.".to_owned() } else { parts.join(" ") }
}

/// An account's worth for programs: `null` where it is not known.
fn equity(equity: &Equity) -> Value {
    let text = |amount: Option<Decimal>| amount.map(|amount| amount.to_string());
    let edge = |unrealized: &Unrealized, amount: Option<Decimal>| {
        json!({
            "amount": text(amount),
            "unrealized": text(unrealized.amount()),
            "certainty": if amount.is_some() { unrealized.total.certainty() } else { Certainty::Unknown }.as_str(),
            "marked_at": unrealized.marked_at.map(TimestampMs::as_ms),
            "unknown": unrealized.unknown.iter().map(Symbol::as_str).collect::<Vec<_>>(),
        })
    };
    json!({
        "before": edge(&equity.before, equity.amount_before()),
        "after": edge(&equity.after, equity.amount_after()),
        "change": text(equity.change()),
    })
}

/// The footing of an asset for programs: every term, also those of 0, as it is added.
pub(super) fn object(footing: &AssetFooting) -> Value {
    let wallet = |wallet: Option<WalletAt>| {
        wallet.map(|wallet| {
            json!({ "amount": wallet.amount.to_string(), "basis": if wallet.is_stated { "stated" } else { "derived" } })
        })
    };
    let stretch = |stretch: &Stretch| json!({ "since": stretch.since.map(TimestampMs::as_ms), "until": stretch.until.map(TimestampMs::as_ms) });
    let reason = |reason: &NotTied| {
        let (name, since, until, income_type) = match reason {
            NotTied::NeverLooked => ("never_looked", None, None, None),
            NotTied::NoLookBefore { first } => ("no_look_before", None, Some(*first), None),
            NotTied::NoLookAfter { last } => ("no_look_after", Some(*last), None, None),
            NotTied::Unexplained { since, until } => ("unexplained", Some(*since), Some(*until), None),
            NotTied::Unread { since, until } => ("unread", Some(*since), Some(*until), None),
            NotTied::Lagging { reached } => ("lagging", Some(*reached), None, None),
            NotTied::Unreadable => ("unreadable", None, None, None),
            NotTied::UnknownType(income_type) => ("unknown_type", None, None, Some(income_type.as_str())),
        };
        let ms = |at: Option<TimestampMs>| at.map(TimestampMs::as_ms);
        json!({
            "reason": name, "since": ms(since), "until": ms(until), "type": income_type,
            "text": why(reason, &Zone::utc()),
        })
    };
    let part = |part: &Unexplained| {
        let (name, symbol) = match &part.place {
            UnexplainedPlace::Wallet => ("wallet", None),
            UnexplainedPlace::Realized(symbol) => ("realized", Some(symbol)),
            UnexplainedPlace::Fees(symbol) => ("fees", Some(symbol)),
            UnexplainedPlace::Position(symbol) => ("position", Some(symbol)),
        };
        json!({
            "place": name, "symbol": symbol.map(Symbol::as_str), "amount": part.amount.to_string(),
            "stretches": part.stretches.iter().map(stretch).collect::<Vec<_>>(),
        })
    };
    let named = terms(footing).into_iter().filter(|term| !term.key.starts_with("unknown:"));
    let named = named.filter(|term| term.key != "unexplained");
    let terms: serde_json::Map<_, _> = named.map(|term| (term.key, Value::from(term.amount.to_string()))).collect();
    let unknown: serde_json::Map<_, _> = footing
        .terms
        .unknown
        .iter()
        .map(|(income_type, unknown)| {
            let effect = match unknown.is_added {
                Some(true) => "proven_added",
                Some(false) => "proven_not_added",
                None => "unproven",
            };
            let of_type = json!({ "amount": unknown.amount.to_string(), "rows": unknown.row_count, "effect": effect });
            (income_type.as_str().to_owned(), of_type)
        })
        .collect();
    json!({
        "schema": "fillbook.report.footing/1",
        "asset": footing.asset.as_str(),
        "outcome": footing.outcome.as_str(),
        "against": if footing.of_contract { "ledger" } else { "wallet" },
        "reasons": footing.reasons.iter().map(reason).collect::<Vec<_>>(),
        "period": stretch(&footing.period),
        "before": wallet(footing.before),
        "moved": footing.moved.to_string(),
        "terms": terms,
        "unknown_types": unknown,
        "rounding_max": footing.terms.rounding_max.to_string(),
        "unexplained": footing.unexplained.to_string(),
        "unexplained_parts": footing.parts.iter().map(part).collect::<Vec<_>>(),
        "after": wallet(footing.after),
        "equity": footing.equity.as_ref().map(equity),
        "outvoted": footing.outvoted.iter().map(|at| at.as_ms()).collect::<Vec<_>>(),
        "looked_at": footing.looked_at.as_ref().map(|part| object(part)),
    })
}
