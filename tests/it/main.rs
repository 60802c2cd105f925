//! One integration binary over the whole workspace: the real command, on real files.

mod bad_input;
mod command_line;
mod demo;
mod import;
mod support;
