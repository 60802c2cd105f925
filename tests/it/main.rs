//! One integration binary over the whole workspace: the real command, on real files.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod anchors;
mod bad_input;
mod beside;
mod command_line;
mod convergence;
mod damaged;
mod damaged_sync;
mod deleted;
mod demands;
mod demo;
mod executor;
mod failing_disk;
mod foreign_text;
mod import;
mod import_cut;
mod import_interrupted;
mod import_owner;
mod import_refused;
mod lists;
mod mutations;
mod other_user;
mod processes;
mod python_bot;
mod python_package;
mod readme;
mod record;
mod report;
mod secrets;
mod simulator;
mod stories;
mod stranger;
mod support;
mod sync;
mod telling;
mod verify;
mod verify_compared;
mod watch;
