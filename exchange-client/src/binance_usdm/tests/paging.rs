//! Trades page by page.
