-- Phones that want to be told that something waits while nobody looks at their page (Web Push). What a browser gave for that stands
-- sealed: whoever finds it could tell phones apart.

CREATE TABLE push_subscription (
    id TEXT NOT NULL PRIMARY KEY,   -- the device
    person TEXT NOT NULL,
    jkt TEXT NOT NULL,              -- of the device's key when it subscribed: another key is another browser
    vapid TEXT NOT NULL,            -- which key of ours its push service knows
    sealed BYTEA NOT NULL,          -- address, key, secret
    made_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX push_subscription_of_person ON push_subscription (person);
CREATE INDEX push_subscription_by_end ON push_subscription (expires_at);

-- Requests that phones are still to be told of. Written with the request, whether anybody is there to be told or not, and gone when they
-- are told. It moves without record: no decision rests on it.
CREATE TABLE push_owed (
    id TEXT NOT NULL PRIMARY KEY,   -- the request's ceremony
    tries BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    told TEXT NOT NULL,             -- devices that need not be told any more, as a list
    because TEXT                    -- what went wrong last
) /* STRICT */;
CREATE INDEX push_owed_by_time ON push_owed (next_at);

-- How many requests of a client in a row a person did not approve.
CREATE TABLE push_quiet (
    id TEXT NOT NULL PRIMARY KEY,   -- person and client
    misses BIGINT NOT NULL,
    at BIGINT NOT NULL              -- of the newest
) /* STRICT */;
CREATE INDEX push_quiet_by_time ON push_quiet (at);
