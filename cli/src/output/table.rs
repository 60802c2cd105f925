//! Tables for people: aligned, and never wider than the terminal. What does not fit is left out, least important
//! columns first, and the table says so.

use comfy_table::{CellAlignment, ContentArrangement, Table};
use exchange_client::files::Zone;

use super::{Column, Listing};

/// Renders items as a table that ends with a line break.
pub(super) fn render<T>(listing: &Listing<T>, items: &[T], width: Option<u16>, zone: &Zone) -> String {
    // A column that says nothing about any item only takes room.
    let mut columns: Vec<(&Column<T>, Vec<String>, bool)> = listing
        .columns
        .iter()
        .filter_map(|column| {
            let cells: Vec<_> = items.iter().map(|item| (column.value)(item)).collect();
            let number = cells.iter().any(super::Cell::is_number);
            let texts: Vec<_> = cells.iter().map(|cell| cell.table(zone)).collect();
            (column.rank == 0 || texts.iter().any(|text| !text.is_empty())).then_some((column, texts, number))
        })
        .collect();
    let mut left_out = Vec::new();
    loop {
        let text = lay_out(&columns, None);
        let fits = width.is_none_or(|width| text.lines().all(|line| visible_width(line) <= usize::from(width)));
        let droppable = columns.iter().map(|(column, ..)| column.rank).max().filter(|rank| *rank > 0);
        match (fits, droppable) {
            (false, Some(rank)) => {
                if let Some(at) = columns.iter().rposition(|(column, ..)| column.rank == rank) {
                    left_out.push(columns.remove(at).0.title);
                }
            }
            (false, None) => return note(lay_out(&columns, width), &left_out, width),
            (true, _) => return note(text, &left_out, width),
        }
    }
}

fn note(mut text: String, left_out: &[&str], width: Option<u16>) -> String {
    text.push('\n');
    if !left_out.is_empty() {
        let mut titles = left_out.to_vec();
        titles.reverse();
        let remark =
            format!("Left out for want of room: {}; a wider terminal, --csv or --json has them.", titles.join(", "));
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

fn lay_out<T>(columns: &[(&Column<T>, Vec<String>, bool)], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(if width.is_some() {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header(columns.iter().map(|(column, ..)| column.title));
    let rows = columns.first().map_or(0, |(_, texts, _)| texts.len());
    for row in 0..rows {
        table.add_row(columns.iter().map(|(_, texts, _)| texts.get(row).map_or("", String::as_str)));
    }
    for (at, (_, _, number)) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(at) {
            column.set_padding(if at == 0 { (0, 1) } else { (1, 1) });
            if *number {
                column.set_cell_alignment(CellAlignment::Right);
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
