//! A value of a list, and how it looks in each format.

use exchange_client::files::Zone;
use ledger_core::{AssetTotal, CertainTotal, Certainty, Decimal, TimestampMs, printable};
use serde_json::{Value, json};

use crate::times::show_time;

/// A value.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Text, ids included.
    Text(String),
    /// A count.
    Count(u64),
    /// An exact number.
    Number(Decimal),
    /// An amount that may be uncertain.
    Certain(CertainTotal),
    /// Amounts per asset.
    Assets(Vec<AssetTotal>),
    /// Exact numbers per asset.
    PerAsset(Vec<(ledger_core::Asset, Decimal)>),
    /// A share, shown in percent.
    Share(Decimal),
    /// An instant.
    Time(TimestampMs),
    /// A length of time in ms.
    Span(i64),
    /// JSON text, which JSON output embeds as it is.
    Json(String),
    /// Yes or no.
    Flag(bool),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

impl From<Decimal> for Cell {
    fn from(value: Decimal) -> Self {
        Self::Number(value)
    }
}

impl From<TimestampMs> for Cell {
    fn from(value: TimestampMs) -> Self {
        Self::Time(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// The JSON of an uncertain amount: the part that can be told, and how sure it is. Where parts differ, how much is
/// which.
pub fn certain(total: &CertainTotal) -> Value {
    let amount = total.told().map(|amount| amount.to_string());
    let mut value = json!({ "amount": amount, "certainty": total.certainty().as_str() });
    if total.certainty() != Certainty::Known {
        value["known"] = total.known.to_string().into();
        value["estimated"] = total.estimated.to_string().into();
        value["unknown_parts"] = total.unknown_count.into();
    }
    value
}

/// `12.5`; `~12.5` with estimated parts; `12.5+?` with unknown parts; `?` when nothing can be told.
fn show_certain(total: &CertainTotal) -> String {
    let Some(amount) = total.told() else {
        return "?".to_owned();
    };
    let sign = if total.has_estimates { "~" } else { "" };
    let rest = if total.unknown_count > 0 { "+?" } else { "" };
    format!("{sign}{}{rest}", show_number(amount))
}

/// At most 8 decimals: more only come from divisions, and stay in JSON and CSV.
fn show_number(number: Decimal) -> String {
    number.round(8).to_string()
}

/// `12 s`, `5 min`, `3 h 20 min`, `2 d 4 h`: as exact as anybody wants to know.
pub(crate) fn show_span(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (seconds, minutes, hours, days) {
        (..60, ..) => format!("{seconds} s"),
        (_, ..60, ..) => format!("{minutes} min"),
        (_, _, ..24, _) => match minutes % 60 {
            0 => format!("{hours} h"),
            rest => format!("{hours} h {rest} min"),
        },
        _ => match hours % 24 {
            0 => format!("{days} d"),
            rest => format!("{days} d {rest} h"),
        },
    }
}

fn assets(totals: &[AssetTotal]) -> impl Iterator<Item = &AssetTotal> {
    totals.iter().filter(|total| {
        !total.total.amount().is_ok_and(Decimal::is_zero) || total.total.certainty() != Certainty::Known
    })
}

impl Cell {
    /// Text as JSON that output embeds.
    pub(crate) fn into_json(self) -> Self {
        match self {
            Self::Text(text) => Self::Json(text),
            other => other,
        }
    }

    /// Whether a table aligns it to the right.
    pub(super) fn is_number(&self) -> bool {
        matches!(
            self,
            Self::Count(_)
                | Self::Span(_)
                | Self::Number(_)
                | Self::Certain(_)
                | Self::Assets(_)
                | Self::PerAsset(_)
                | Self::Share(_)
        )
    }

    /// As a person reads it.
    pub(crate) fn table(&self, zone: &Zone) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) | Self::Json(text) => printable(text).into_owned(),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => show_number(*number),
            Self::Certain(total) => show_certain(total),
            Self::Assets(totals) => {
                let lines: Vec<_> =
                    assets(totals).map(|total| format!("{} {}", show_certain(&total.total), total.asset)).collect();
                lines.join("\n")
            }
            Self::PerAsset(amounts) => {
                let lines: Vec<_> =
                    amounts.iter().map(|(asset, amount)| format!("{} {asset}", show_number(*amount))).collect();
                lines.join("\n")
            }
            Self::Share(share) => match share.checked_mul(Decimal::from(100)) {
                Ok(percent) => format!("{percent:.1}%"),
                Err(_) => share.to_string(),
            },
            Self::Time(at) => show_time(*at, zone),
            Self::Span(ms) => show_span(*ms),
            Self::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        }
    }

    /// As a program reads it: decimals and ids are strings, times are milliseconds.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(text) => text.as_str().into(),
            Self::Count(count) => (*count).into(),
            Self::Number(number) | Self::Share(number) => number.to_string().into(),
            Self::Certain(total) => certain(total),
            Self::Assets(totals) => totals
                .iter()
                .map(|total| (total.asset.to_string(), certain(&total.total)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Self::PerAsset(amounts) => amounts
                .iter()
                .map(|(asset, amount)| (asset.to_string(), Value::from(amount.to_string())))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Self::Time(at) => at.as_ms().into(),
            Self::Span(ms) => (*ms).into(),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
            Self::Flag(flag) => (*flag).into(),
        }
    }

    /// As a spreadsheet reads it. A text that a spreadsheet would take for a formula gets an apostrophe in front.
    pub(super) fn csv(&self) -> String {
        match self {
            Self::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
            Self::Text(text) => text.clone(),
            Self::Number(number) | Self::Share(number) => number.to_string(),
            Self::Certain(total) => match (total.certainty(), total.told()) {
                (_, None) => "?".to_owned(),
                (Certainty::Known, Some(amount)) => amount.to_string(),
                (Certainty::Estimated, Some(amount)) => format!("~{amount}"),
                (Certainty::Unknown, Some(amount)) => format!("{amount}+?"),
            },
            Self::Assets(totals) => {
                let parts: Vec<_> = assets(totals)
                    .map(|total| format!("{} {}", Self::Certain(total.total).csv(), total.asset))
                    .collect();
                parts.join("; ")
            }
            Self::PerAsset(amounts) => {
                let parts: Vec<_> = amounts.iter().map(|(asset, amount)| format!("{amount} {asset}")).collect();
                parts.join("; ")
            }
            Self::Time(at) => at.as_ms().to_string(),
            Self::Span(ms) => ms.to_string(),
            Self::Json(text) => Self::Text(text.clone()).csv(),
            Self::Flag(flag) => flag.to_string(),
            Self::Empty => String::new(),
            Self::Count(count) => count.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(known: &str, estimated: Option<&str>, unknown: bool) -> CertainTotal {
        let mut total = CertainTotal::default();
        total.add(known.parse().unwrap(), Certainty::Known).unwrap();
        if let Some(estimated) = estimated {
            total.add(estimated.parse().unwrap(), Certainty::Estimated).unwrap();
        }
        if unknown {
            total.add(Decimal::ZERO, Certainty::Unknown).unwrap();
        }
        total
    }

    #[test]
    fn uncertain_amounts_say_so_in_every_format() {
        for (total, table, json) in [
            (total("12.5", None, false), "12.5", r#"{"amount":"12.5","certainty":"known"}"#),
            (
                total("12", Some("0.5"), false),
                "~12.5",
                r#"{"amount":"12.5","certainty":"estimated","estimated":"0.5","known":"12","unknown_parts":0}"#,
            ),
            (
                total("12.5", None, true),
                "12.5+?",
                r#"{"amount":"12.5","certainty":"unknown","estimated":"0","known":"12.5","unknown_parts":1}"#,
            ),
            (
                total("0", None, true),
                "?",
                r#"{"amount":null,"certainty":"unknown","estimated":"0","known":"0","unknown_parts":1}"#,
            ),
        ] {
            let cell = Cell::Certain(total);
            assert_eq!(cell.table(&Zone::utc()), table);
            assert_eq!(cell.json().to_string(), json);
            assert_eq!(cell.csv(), table);
        }
    }

    #[test]
    fn spans_are_shown_in_two_units_at_most() {
        for (ms, shown) in [
            (-5, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (3_600_000, "1 h"),
            (12_000_000, "3 h 20 min"),
            (86_399_999, "23 h 59 min"),
            (187_200_000, "2 d 4 h"),
            (8_640_000_000, "100 d"),
        ] {
            assert_eq!(Cell::Span(ms).table(&Zone::utc()), shown);
        }
        assert_eq!(Cell::Span(60_000).json(), 60_000);
        assert_eq!(Cell::Json(r#"{"id":"9"}"#.into()).json()["id"], "9");
    }

    #[test]
    fn nothing_that_a_terminal_or_spreadsheet_would_run_gets_through() {
        let escape = Cell::from("a\u{1b}[31mb\u{7}");
        assert_eq!(escape.table(&Zone::utc()), "a\\u{1b}[31mb\\u{7}");
        let turned = Cell::from("a\u{202e}b\u{200b}c\u{feff}原因");
        assert_eq!(turned.table(&Zone::utc()), "a\\u{202e}b\\u{200b}c\\u{feff}原因");
        assert_eq!(Cell::from("=cmd|'/c calc'!A1").csv(), "'=cmd|'/c calc'!A1");
        assert_eq!(Cell::Number("-5".parse().unwrap()).csv(), "-5");
    }
}
