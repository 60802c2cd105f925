//! What happens during an import, on the terminal or as JSON.

use exchange_client::files::ZoneOrigin;
use reconciler::{ImportEvent, Origin, RowRemark};
use serde_json::json;

use crate::output::{Format, Output};

/// How many rows of a file are named for a person, of each remark; a program gets all of them.
const NAMED_MAX: u64 = 20;

/// Shows what happened. That nobody reads standard output any more shows when the import is done.
pub(super) fn show(event: ImportEvent<'_>, output: &mut Output) {
    match event {
        ImportEvent::Rows { file, rows } => output.progress(&format!("{file}: {rows} rows")),
        ImportEvent::Checking { file, rows } => output.progress(&format!("{file}: {rows} rows checked")),
        ImportEvent::OwnerUnproven { file, uid, bound } => {
            let whose = match uid {
                Some(uid) => format!("it says that it is of user {uid}, which nothing ties to this account"),
                None => "it does not say whose it is".to_owned(),
            };
            output.remark(&format!(
                "{file}: taken at your word: {whose}, this account is bound to {bound}, and none of its orders and trades was \
                 known here before"
            ));
        }
        ImportEvent::Recomputing { symbol, number, of } => {
            output.progress(&format!("recomputing {symbol} ({number} of {of})"));
        }
        ImportEvent::ZoneTaken { file, zone, origin } => {
            let by = match origin {
                ZoneOrigin::FileName => "by its name",
                ZoneOrigin::NameOverHeader => {
                    "by its name; its header says UTC, which exports print above local times too. If the name is wrong, correct \
                     it and import again"
                }
                ZoneOrigin::Header => "by its header, not as given",
                ZoneOrigin::Given => "as given",
            };
            output.remark(&format!("{file}: times read as {zone}, {by}"));
        }
        ImportEvent::Refused { file, reason } => {
            to_program(output, &json!({ "schema": "fillbook.import.file_error/1", "file": file, "reason": reason }));
            output.complain(reason);
        }
        ImportEvent::Row { file, origin, remark, number, reason } => {
            name(output, file, origin, remark, number, reason);
        }
        _ => {}
    }
}

/// Names a row: to a program always, to a person up to a number that can be read.
fn name(output: &mut Output, file: &str, origin: &Origin, remark: RowRemark, number: u64, reason: &str) {
    let Origin { member, line, element } = origin;
    let what = remark.as_str();
    let schema = format!("fillbook.import.{what}/1");
    let member = member.as_deref();
    let row = json!({
        "schema": schema, "file": file, "member": member, "line": line, "element": element, "reason": reason
    });
    to_program(output, &row);
    if number <= NAMED_MAX {
        let member = member.map_or(String::new(), |member| format!("[{}]", member.escape_debug()));
        let element = element.map_or(String::new(), |element| format!(", element {element}"));
        output.complain(&format!("{file}{member}:{line}{element}: {what}: {reason}"));
    } else if number == NAMED_MAX + 1 {
        output.complain(&format!("{file}: more {what} rows follow; --json names them all"));
    }
}

fn to_program(output: &mut Output, value: &serde_json::Value) {
    if output.format == Format::Json {
        // Errors are held until the import is done.
        let _ = output.json(value);
    }
}
