//! Values of any type, as text.
#![expect(clippy::disallowed_types, reason = "a bot's REAL columns hold floats; here they become the decimals meant")]

use std::collections::BTreeMap;
use std::str::FromStr;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Nullable, Text};
use serde_json::value::RawValue;

use super::BotTable;

/// Makes the row type: per column a text, and a float for REAL values, whose shortest decimal only we can tell.
macro_rules! raw_row {
    ($($text:ident $real:ident),+) => {
        #[derive(Debug, QueryableByName)]
        pub(super) struct RawRow {
            #[diesel(sql_type = BigInt)]
            row_number: i64,
            #[diesel(sql_type = Nullable<Text>)]
            too_long: Option<String>,
            $(
                #[diesel(sql_type = Nullable<Text>)]
                $text: Option<String>,
                #[diesel(sql_type = Nullable<Double>)]
                $real: Option<f64>,
            )+
        }

        impl RawRow {
            pub(super) fn number(&self) -> i64 {
                self.row_number
            }

            /// How many bytes of text it holds.
            pub(super) fn text_bytes(&self) -> usize {
                [$(&self.$text),+].into_iter().flatten().map(String::len).sum()
            }

            /// The first column whose value was too long to be read.
            pub(super) fn too_long(&self) -> Option<&str> {
                self.too_long.as_deref()
            }

            /// The row's number and its values: a text, or a float.
            fn into_values(self) -> (i64, Vec<(Option<String>, Option<f64>)>) {
                (self.row_number, vec![$((self.$text, self.$real)),+])
            }
        }

        const NAMES: &[(&str, &str)] = &[$((stringify!($text), stringify!($real))),+];
    };
}
raw_row!(t0 r0, t1 r1, t2 r2, t3 r3, t4 r4, t5 r5, t6 r6, t7 r7, t8 r8, t9 r9, t10 r10);

/// The longest text that is read of a bot's database, in bytes. What bots keep of an order has a few thousand.
pub(super) const VALUE_BYTES_MAX: usize = 1 << 20;

/// The query for a page of rows, whose numbers SQLite calls `row_id`. Column names are ours; those that the file lacks read as
/// NULL. So does a text that is too long: its length stands in front of it, so that it is never held.
pub(super) fn select(table: BotTable, present: &[String], row_id: &str) -> String {
    let is_present = |column: &&str| present.iter().any(|name| name == column);
    let columns = NAMES.iter().enumerate().map(|(index, (text, real))| {
        match table.columns().get(index).copied().filter(is_present) {
            Some(column) => format!(
                "CASE typeof({column}) WHEN 'text' THEN CASE WHEN octet_length({column}) <= {VALUE_BYTES_MAX} THEN {column} END
                 WHEN 'integer' THEN CAST({column} AS TEXT) WHEN 'blob' THEN '(binary)' END AS {text},
                 CASE typeof({column}) WHEN 'real' THEN {column} END AS {real}"
            ),
            None => format!("NULL AS {text}, NULL AS {real}"),
        }
    });
    let too_long = table.columns().iter().copied().filter(is_present).map(|column| {
        format!("WHEN typeof({column}) = 'text' AND octet_length({column}) > {VALUE_BYTES_MAX} THEN '{column}'")
    });
    format!(
        "SELECT {row_id} AS row_number, CASE {} END AS too_long, {} FROM {table} WHERE {row_id} > ? ORDER BY {row_id} LIMIT ?",
        too_long.collect::<Vec<_>>().join(" "),
        columns.collect::<Vec<_>>().join(", ")
    )
}

/// A JSON object whose values stay the text they are.
type Object = BTreeMap<String, Box<RawValue>>;

/// One row, with its raw payload opened.
pub(super) struct Cells {
    pub(super) table: BotTable,
    pub(super) rowid: i64,
    values: BTreeMap<&'static str, String>,
    unified: Object,
    info: Object,
}

/// A float as the shortest decimal that names it; money as far as a double holds any decimal faithfully, which is 15
/// digits. What a sum of doubles shows beyond them (0.1 + 0.2 is 0.30000000000000004) nobody ever traded.
fn decimal(column: &str, real: f64) -> String {
    let faithful = match column {
        "price" | "qty" | "fee" => format!("{real:.14e}").parse().unwrap_or(real),
        _ => real,
    };
    faithful.to_string()
}

fn object(text: &str) -> Object {
    serde_json::from_str(text).unwrap_or_default()
}

/// A JSON string or number or boolean as text; nothing for null, lists and objects.
fn scalar(value: &RawValue) -> Option<String> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).ok(),
        Some(b'{' | b'[' | b'n') | None => None,
        Some(_) => Some(text.to_owned()),
    }
}

impl Cells {
    pub(super) fn new(table: BotTable, row: RawRow) -> Self {
        let (rowid, values) = row.into_values();
        let values: BTreeMap<_, _> = table
            .columns()
            .iter()
            .zip(values)
            .filter_map(|(column, (text, real))| {
                let text = text.or_else(|| real.map(|real| decimal(column, real)));
                Some((*column, text.filter(|text| !text.trim().is_empty())?))
            })
            .collect();
        let unified = values.get("raw_json").map(|text| object(text)).unwrap_or_default();
        // A bot may have stored the exchange's own object instead of the library's.
        let info = unified.get("info").map(|info| object(info.get())).unwrap_or_default();
        Self { table, rowid, values, unified, info }
    }

    /// A column.
    pub(super) fn column(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|text| text.trim())
    }

    /// A field of the exchange's own object.
    pub(super) fn exchange(&self, name: &str) -> Option<String> {
        let object = if self.info.is_empty() { &self.unified } else { &self.info };
        object.get(name).and_then(|value| scalar(value)).filter(|text| !text.is_empty())
    }

    /// The names of the fields of the exchange's own object.
    pub(super) fn exchange_fields(&self) -> impl Iterator<Item = &str> {
        let object = if self.info.is_empty() { &self.unified } else { &self.info };
        object.keys().map(String::as_str)
    }

    /// Whether the library's object has the exchange's in it.
    pub(super) fn has_info(&self) -> bool {
        !self.info.is_empty()
    }

    /// Amount and asset of the library's fee.
    pub(super) fn unified_fee(&self) -> Option<(String, String)> {
        let fee = object(self.unified.get("fee")?.get());
        let field = |name: &str| fee.get(name).and_then(|value| scalar(value)).filter(|text| !text.is_empty());
        Some((field("cost")?, field("currency")?))
    }

    /// A field of the library's object.
    pub(super) fn unified(&self, name: &str) -> Option<String> {
        self.unified.get(name).and_then(|value| scalar(value)).filter(|text| !text.is_empty())
    }

    /// The payload as the bot kept it, else the row as JSON text.
    pub(super) fn payload(&self) -> String {
        self.values.get("raw_json").cloned().unwrap_or_else(|| {
            let mut values: BTreeMap<&str, &str> =
                self.values.iter().map(|(name, text)| (*name, text.as_str())).collect();
            values.insert("table", self.table.as_str());
            serde_json::to_string(&values).unwrap_or_default()
        })
    }

    pub(super) fn required(&self, name: &'static str) -> Result<&str, String> {
        self.column(name).ok_or_else(|| format!("{name} is missing"))
    }
}

/// `text` as a value, or a sentence that names the column.
pub(super) fn parse<T>(what: &str, text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| format!("{what}: {error}"))
}

/// As [`parse`], for a text that may be absent.
pub(super) fn parse_optional<T>(what: &str, text: Option<&str>) -> Result<Option<T>, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.map(|text| parse(what, text)).transpose()
}
