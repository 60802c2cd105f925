//! [`Outbox`] on the SQLite book: each method is one command or one query.

use async_trait::async_trait;
use ledger_core::{AccountId, TimestampMs};

use crate::outbox::{Attempt, ChannelSummary, Message, NewMessage, RecordedFills};
use crate::page::{Page, PageRequest};
use crate::sqlite::outbox;
use crate::sqlite::store::SqliteStore;
use crate::store::{Outbox, StoreResult};

#[async_trait]
impl Outbox for SqliteStore {
    async fn recorded_fills(&self, account: &AccountId, place: i64, limit: u32) -> StoreResult<RecordedFills> {
        let account = account.clone();
        self.read(move |conn| outbox::recorded_fills(conn, &account, place, limit)).await
    }

    async fn fills_end(&self) -> StoreResult<i64> {
        self.read(outbox::fills_end).await
    }

    async fn telling(&self, account: &AccountId) -> StoreResult<Option<String>> {
        let account = account.clone();
        self.read(move |conn| outbox::telling(conn, &account)).await
    }

    async fn put_messages(
        &self,
        account: &AccountId,
        messages: Vec<NewMessage>,
        now_local: TimestampMs,
        keep_since_local: TimestampMs,
        state_json: String,
    ) -> StoreResult<usize> {
        let account = account.clone();
        self.write(move |conn| outbox::put(conn, &account, &messages, now_local, keep_since_local, &state_json)).await
    }

    async fn due_messages(
        &self,
        account: &AccountId,
        channel: &str,
        now_local: TimestampMs,
        limit: u32,
    ) -> StoreResult<Vec<Message>> {
        let (account, channel) = (account.clone(), channel.to_owned());
        self.read(move |conn| outbox::due(conn, &account, &channel, now_local, limit)).await
    }

    async fn note_attempt(&self, ids: Vec<i64>, attempt: Attempt) -> StoreResult<()> {
        self.write(move |conn| outbox::note_attempt(conn, &ids, &attempt)).await
    }

    async fn give_up_others(
        &self,
        account: &AccountId,
        channels: Vec<String>,
        now_local: TimestampMs,
    ) -> StoreResult<usize> {
        let account = account.clone();
        self.write(move |conn| outbox::give_up_others(conn, &account, &channels, now_local)).await
    }

    async fn messages(&self, account: &AccountId, page: PageRequest) -> StoreResult<Page<Message>> {
        let account = account.clone();
        self.read(move |conn| outbox::list(conn, &account, &page)).await
    }

    async fn outbox_summary(&self, account: &AccountId) -> StoreResult<Vec<ChannelSummary>> {
        let account = account.clone();
        self.read(move |conn| outbox::summary(conn, &account)).await
    }
}
