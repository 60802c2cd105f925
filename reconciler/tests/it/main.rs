//! The reconciler against the simulator, whose own books say whether it is right.

#![expect(clippy::unwrap_used, reason = "helpers fail like the tests that use them")]

mod cases;
mod cycle;
mod effort;
mod execute;
mod footing;
mod gates;
mod history;
mod import;
mod import_seams;
mod lies;
mod looks;
mod mixtures;
mod outside;
mod pending;
mod restart;
mod simulation;
mod support;
mod truth;
mod watching;
