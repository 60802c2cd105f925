-- Who watches an account: one row an account, which each watcher takes over from the one before. The number grows with each
-- of them, and fences: what is written under a lower one is refused. state_json is what the watcher last said of itself; it is
-- neither a fact nor journaled.
CREATE TABLE leases (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts,
    number INTEGER NOT NULL CONSTRAINT leases_number CHECK (number > 0),
    holder TEXT NOT NULL,
    taken_local_ms INTEGER NOT NULL,
    renewed_local_ms INTEGER NOT NULL,
    until_local_ms INTEGER NOT NULL,
    ended_local_ms INTEGER,
    state_json TEXT
) STRICT;
