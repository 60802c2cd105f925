-- What is to be told to people, a row a message and channel. These rows are neither facts nor derived: they are made once, from
-- what the book said then, and go when they are old. body_json is the event as programs are told it; text is for people.
-- next_try_local_ms: nothing once it was sent or given up. last_error holds fillbook's own words and no address.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts,
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    is_urgent INTEGER NOT NULL CONSTRAINT messages_is_urgent CHECK (is_urgent IN (0, 1)),
    text TEXT NOT NULL,
    body_json TEXT NOT NULL,
    made_local_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_local_ms INTEGER,
    sent_local_ms INTEGER,
    gave_up_local_ms INTEGER,
    last_error TEXT,
    CONSTRAINT messages_key UNIQUE (account_id, channel, key),
    CONSTRAINT messages_one_end CHECK (
        (next_try_local_ms IS NOT NULL) + (sent_local_ms IS NOT NULL) + (gave_up_local_ms IS NOT NULL) = 1)
) STRICT;
CREATE INDEX messages_waiting ON messages (account_id, channel, next_try_local_ms) WHERE next_try_local_ms IS NOT NULL;
CREATE INDEX messages_made ON messages (account_id, made_local_ms);

-- How far what an account is told of has come: written with the messages that follow from it. See tell/state.rs of the reconciler.
CREATE TABLE telling (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts,
    state_json TEXT NOT NULL
) STRICT;
