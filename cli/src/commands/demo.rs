//! `fillbook demo`

use crate::Context;
use crate::args::DemoArgs;
use crate::error::{CommandError, ExitCode};

pub async fn run(_args: &DemoArgs, _context: &mut Context) -> Result<ExitCode, CommandError> {
    Ok(ExitCode::Fine)
}
