//! What an export is complete for, written down beside its rows, so that a gap in what the exchange still remembers counts
//! as closed once a file has filled it.

use exchange_client::files::FillsCovered;
use ledger_store::{CoverageGrade, CoverageSpan, StoreError};

use super::Recording;
use crate::streams::FILLS;

impl Recording<'_> {
    /// Records the stretches for which a file has every fill: inferred, because nobody asked the exchange for exactly these.
    pub(super) async fn cover(&self, covered: Vec<FillsCovered>) -> Result<(), StoreError> {
        if covered.is_empty() {
            return Ok(());
        }
        let span = |FillsCovered { symbol, since, until }| CoverageSpan {
            stream: FILLS.to_owned(),
            symbol: Some(symbol),
            grade: CoverageGrade::Inferred,
            since,
            until,
        };
        let mut batch = self.batch(Vec::new());
        batch.coverage = covered.into_iter().map(span).collect();
        self.store.commit(batch).await.map(drop)
    }
}
