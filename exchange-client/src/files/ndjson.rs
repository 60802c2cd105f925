//! fillbook's own format: one JSON object a line. (interface only; being written)

use std::io::{self, Write};

use ledger_core::Statement;

use super::error::{RowError, RowProblem};

/// How the `schema` of every line begins.
pub const SCHEMA_PREFIX: &str = "fillbook.";

/// Writes a statement as one line, its line end included.
///
/// # Errors
/// When writing fails.
pub fn write_line(out: &mut impl Write, statement: &Statement) -> io::Result<()> {
    let _ = (out, statement);
    Ok(())
}

/// Reads a line that [`write_line`] wrote, or that follows the layout described above.
///
/// # Errors
/// [`RowError`] with the field at fault.
pub fn parse_line(text: &str) -> Result<Statement, RowError> {
    let _ = text;
    Err(RowError::row(RowProblem::NotAnObject))
}
