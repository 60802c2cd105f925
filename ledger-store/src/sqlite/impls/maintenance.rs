//! [`Maintenance`] on the SQLite book: each method is one command or one query.

use std::sync::Arc;

use std::path::Path;

use async_trait::async_trait;

use crate::record::StoreInfo;
use crate::sqlite::connection;
use crate::sqlite::store::SqliteStore;
use crate::store::{Book, Maintenance, StoreResult};

#[async_trait]
impl Maintenance for SqliteStore {
    async fn info(&self) -> StoreResult<StoreInfo> {
        self.read(|conn| {
            Ok(StoreInfo {
                schema_version: connection::schema_version(conn)?,
                sqlite_version: connection::sqlite_version(conn)?,
                size_bytes: connection::size_bytes(conn)?,
            })
        })
        .await
    }

    async fn integrity_check(&self) -> StoreResult<Vec<String>> {
        self.read(connection::integrity_check).await
    }

    async fn is_refold_under_way(&self) -> StoreResult<bool> {
        Ok(self.is_at_work())
    }

    async fn backup(&self, path: &Path) -> StoreResult<()> {
        self.copy_to(path.to_owned()).await
    }

    async fn snapshot(&self) -> StoreResult<Book> {
        Ok(Arc::new(self.at_this_moment().await?))
    }
}
