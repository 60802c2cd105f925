//! `fillbook record` as a bot uses it: a process that is written to and read from.

mod child;
mod examples;
mod fees;
mod files;
mod killed;
mod lines;
mod unheard;

use child::Child;
