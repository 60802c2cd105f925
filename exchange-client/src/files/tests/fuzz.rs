//! Nothing that bytes can be may panic, hang, or hide the good rows beside it.

use ledger_core::{AnyFact, Statement};
use proptest::prelude::*;

use super::*;
use crate::files::table::Cells;

const FIXTURES: [&str; 10] = [
    "one-way/trades-legacy.csv",
    "one-way/trades-legacy.csv.gz",
    "one-way/trades-archive.csv",
    "one-way/trades-in-parts.zip",
    "one-way/orders.csv",
    "one-way/transactions.csv",
    "one-way/ccxt-trades.json",
    "one-way/ccxt-orders.ndjson",
    "one-way/fillbook.ndjson",
    "bad/rows.csv",
];

/// Reads to the end; more items than bytes would mean that it never ends.
fn exhaust(name: &str, bytes: Vec<u8>) {
    let limit = 64 * bytes.len() + 64;
    if let Ok(file) = from_text(name, bytes, Options::default()) {
        assert!(file.take(limit).count() < limit);
    }
}

fn facts(statements: &[Statement]) -> Vec<AnyFact> {
    statements.iter().map(|statement| statement.fact.clone()).collect()
}

/// A line of anything, mostly of what parsers choke on.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let biting = prop::sample::select(b"\"',;{}[]:\\\t\r\0\xff\xef\xbb\xbf0123456789eE.+-NaN BUYTCUSDT".to_vec());
    let any = any::<u8>().prop_filter("a line has no line end", |byte| *byte != b'\n');
    prop::collection::vec(prop_oneof![3 => biting, 1 => any], 0..120)
}

/// The lines of a fixture with garbage put between them.
fn with_garbage(name: &str, garbage: &[(prop::sample::Index, Vec<u8>)]) -> Vec<u8> {
    let text = std::fs::read(fixture(name)).unwrap();
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    for (index, line) in garbage {
        let at = 1 + index.index(lines.len());
        lines.insert(at, line);
    }
    lines.join(&b'\n')
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), wrap in 0..5_usize) {
        let prefixes: [&[u8]; 5] =
            [b"", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"PK\x03\x04\x14\0\0\0\x08\0", b"[{\"symbol\":", b"{\"schema\":\"fillbook.fill/1\","];
        let mut text = prefixes[wrap].to_vec();
        text.extend(bytes);
        exhaust("x(UTC).csv", text);
    }

    #[test]
    fn damaged_files_never_panic(
        which in 0..FIXTURES.len(),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..12),
    ) {
        let mut bytes = std::fs::read(fixture(FIXTURES[which])).unwrap();
        for (index, byte, change) in changes {
            let at = index.index(bytes.len());
            match change {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        bytes.truncate(cut.index(bytes.len() * 2));
        exhaust("x(UTC).csv", bytes);
    }

    #[test]
    fn a_bad_row_never_costs_a_good_one(
        which in 0..5_usize,
        garbage in prop::collection::vec((any::<prop::sample::Index>(), garbage()), 1..6),
    ) {
        let name = [
            "one-way/trades-legacy.csv", "one-way/orders.csv", "one-way/transactions.csv", "one-way/ccxt-orders.ndjson",
            "one-way/fillbook.ndjson",
        ][which];
        let expected = facts(&read(name).statements);
        let found = read_text("x(UTC).csv", with_garbage(name, &garbage));
        prop_assert!(found.errors.is_empty(), "{:?}", found.errors);
        prop_assert!(found.rejected.len() <= garbage.len());
        prop_assert_eq!(facts(&found.statements), expected);
    }

    #[test]
    fn a_bad_element_never_costs_a_good_one(
        which in 1..15_usize,
        cut in any::<prop::sample::Index>(),
        indent in 0..4_usize,
        separated in any::<bool>(),
    ) {
        let text = std::fs::read_to_string(fixture("one-way/ccxt-trades-without-info.ndjson")).unwrap();
        let mut expected = facts(&read_text("x.json", text.clone()).clean().statements);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // Everything on the line behind the cut is lost, the separator perhaps as well.
        let broken = &mut lines[which];
        let lost = facts(&read_text("x.json", broken.clone()).clean().statements);
        let kept = 1 + cut.index(broken.len() - 1);
        broken.truncate(kept);
        expected.retain(|fact| Some(fact) != lost.first());
        let joint = |line: usize| if line == which && !separated { "\n" } else { ",\n" };
        let last = lines.len() - 1;
        let laid_out = lines.iter().enumerate().map(|(number, line)| {
            format!("{:indent$}{line}{}", "", if number == last { "\n]" } else { joint(number) })
        });
        let array = format!("[\n{}", laid_out.collect::<String>());
        let found = read_text("x.json", array);
        let fills = |facts: Vec<AnyFact>| facts.into_iter().filter(|f| matches!(f, AnyFact::Fill(_))).collect::<Vec<_>>();
        prop_assert_eq!(fills(facts(&found.statements)), fills(expected));
    }

    #[test]
    fn cells_are_those_that_a_csv_library_wrote(row in prop::collection::vec("[a-z \",;'é]{0,8}", 1..8)) {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(&row).unwrap();
        let line = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let mut cells = Cells::default();
        cells.split(line.trim_end_matches('\n'), ',').unwrap();
        let found: Vec<&str> = cells.iter().collect();
        prop_assert_eq!(found, row);
    }
}
