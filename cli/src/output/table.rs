//! Tables for people: aligned, and never wider than the terminal. What does not fit is left out, least important
//! columns first, and the table says so. Prose is wrapped between words; amounts, ids and times are never broken: where
//! even the columns that always stay are too wide, every item becomes a record of its own, one value a line.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};
use exchange_client::files::Zone;

use super::{Column, Listing, NOT_IN_TABLES};

/// Text of at least this length with a space in it is prose, which may be wrapped.
const PROSE_CHARS_MIN: usize = 25;
/// How narrow a column of prose may get.
const PROSE_WIDTH_MIN: usize = 28;
/// Which columns a record has.
const RECORD_RANK_MAX: u8 = 3;
/// What stands between two columns.
const GAP: usize = 2;

/// A column with its cells as text.
struct Laid<'a, T> {
    column: &'a Column<T>,
    texts: Vec<String>,
    is_number: bool,
}

impl<T> Laid<'_, T> {
    /// Its widest line, title included.
    fn width(&self) -> usize {
        let lines = self.texts.iter().flat_map(|text| text.lines());
        lines.map(visible_width).fold(visible_width(self.column.title), usize::max)
    }

    fn is_prose(&self) -> bool {
        let prose = |text: &String| text.chars().nth(PROSE_CHARS_MIN).is_some() && text.contains(' ');
        !self.is_number && self.texts.iter().any(prose)
    }

    /// How narrow it may get.
    fn width_min(&self) -> usize {
        if self.is_prose() { self.width().min(PROSE_WIDTH_MIN) } else { self.width() }
    }
}

/// Renders items as a table that ends with a line break.
pub(super) fn render<T>(listing: &Listing<T>, items: &[T], width: Option<u16>, zone: &Zone) -> String {
    // A column that says nothing about any item only takes room.
    let mut columns: Vec<Laid<'_, T>> = listing
        .columns
        .iter()
        .filter(|column| column.rank != NOT_IN_TABLES)
        .filter_map(|column| {
            let cells: Vec<_> = items.iter().map(|item| (column.value)(item)).collect();
            let is_number = cells.iter().any(super::Cell::is_number);
            let texts: Vec<_> = cells.iter().map(|cell| cell.table(zone)).collect();
            let says_something = column.rank == 0 || texts.iter().any(|text| !text.is_empty());
            says_something.then_some(Laid { column, texts, is_number })
        })
        .collect();
    let Some(width) = width else { return note(lay_out(&columns, None), &[], None) };
    let mut left_out = Vec::new();
    while !fits(&columns, width) {
        let rank = columns.iter().map(|laid| laid.column.rank).max().unwrap_or(0);
        let Some(at) = columns.iter().rposition(|laid| rank > 0 && laid.column.rank == rank) else { break };
        left_out.push(columns.remove(at));
    }
    if fits(&columns, width) {
        let titles: Vec<_> = left_out.iter().rev().map(|laid| laid.column.title).collect();
        return note(lay_out(&columns, Some(width)), &titles, Some(width));
    }
    columns.extend(left_out);
    columns.sort_by_key(|laid| listing.columns.iter().position(|column| std::ptr::eq(column, laid.column)));
    let (shown, dropped): (Vec<_>, Vec<_>) = columns.into_iter().partition(|laid| laid.column.rank <= RECORD_RANK_MAX);
    let titles: Vec<_> = dropped.iter().map(|laid| laid.column.title).collect();
    note(records(&shown, items.len(), width), &titles, Some(width))
}

/// Whether a line has room for all columns, prose at its narrowest.
fn fits<T>(columns: &[Laid<'_, T>], width: u16) -> bool {
    let gaps = columns.len().saturating_sub(1) * GAP;
    columns.iter().map(Laid::width_min).sum::<usize>() + gaps <= usize::from(width)
}

fn note(mut text: String, left_out: &[&str], width: Option<u16>) -> String {
    text.push('\n');
    if !left_out.is_empty() {
        let remark =
            format!("Left out for want of room: {}; a wider terminal, --csv or --json has them.", left_out.join(", "));
        text.push_str(&wrap(&remark, width));
        text.push('\n');
    }
    text
}

/// Breaks a remark between words so that it fits.
pub(super) fn wrap(text: &str, width: Option<u16>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if visible_width(line) + 1 + visible_width(word) <= usize::from(width) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// `title` at the left of a text that is wrapped beside it.
pub(super) fn beside(title: &str, title_width: usize, text: &str, width: Option<u16>) -> String {
    let room = width.map(|width| usize::from(width).saturating_sub(title_width + GAP).max(1));
    let room = room.map(|room| u16::try_from(room).unwrap_or(u16::MAX));
    let mut lines = Vec::new();
    for line in text.lines().flat_map(|line| wrap(line, room).lines().map(str::to_owned).collect::<Vec<_>>()) {
        let head = if lines.is_empty() { title } else { "" };
        let fill = " ".repeat((title_width + GAP).saturating_sub(visible_width(head)));
        lines.push(format!("{head}{fill}{line}"));
    }
    if lines.is_empty() { title.to_owned() } else { lines.join("\n") }
}

/// Every item as a record: a value a line, and an empty line in between.
fn records<T>(columns: &[Laid<'_, T>], items: usize, width: u16) -> String {
    let title_width = columns.iter().map(|laid| visible_width(laid.column.title)).max().unwrap_or(0);
    let record = |item: usize| {
        let lines = columns.iter().filter_map(|laid| {
            let text = laid.texts.get(item).filter(|text| !text.is_empty())?;
            Some(beside(laid.column.title, title_width, text, Some(width)))
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    (0..items).map(record).collect::<Vec<_>>().join("\n\n")
}

fn lay_out<T>(columns: &[Laid<'_, T>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let widest = columns.iter().map(Laid::width).sum::<usize>() + columns.len().saturating_sub(1) * GAP;
    let tight = width.filter(|width| widest > usize::from(*width));
    table.set_content_arrangement(if tight.is_some() {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    if let Some(width) = tight {
        // The blank behind the last column is cut off.
        table.set_width(width.saturating_add(1));
    }
    table.set_header(columns.iter().map(|laid| laid.column.title));
    let rows = columns.first().map_or(0, |laid| laid.texts.len());
    for row in 0..rows {
        table.add_row(columns.iter().map(|laid| laid.texts.get(row).map_or("", String::as_str)));
    }
    for (at, laid) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(at) {
            column.set_padding(if at == 0 { (0, 1) } else { (1, 1) });
            if laid.is_number {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if !laid.is_prose() {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    let mut lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let widest = lines.iter().map(|line| visible_width(line)).max().unwrap_or(0);
    if rows > 0 && !lines.is_empty() {
        lines.insert(lines.len().min(1), "─".repeat(widest));
    }
    lines.join("\n")
}

fn visible_width(line: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(line)
}
