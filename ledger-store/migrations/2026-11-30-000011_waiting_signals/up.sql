-- The signals of a contract that wait for their order, by time. The condition is that of the query, word for word, and not that
-- of engine_signals_awaited, which SQLite would follow instead.
CREATE INDEX engine_signals_symbol_awaited ON engine_signals (account_id, symbol, ts, signal_id)
    WHERE restored = 0 AND coalesce(skipped, 'sent_after_all') = 'sent_after_all';
