-- Streams of security events to receivers (Shared Signals Framework). The log is the queue: a stream is a place in it.

CREATE TABLE stream (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    receiver TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,                    -- why it is not enabled, or is again
    done BIGINT NOT NULL,           -- everything up to this number of the log was taken
    taken TEXT NOT NULL,            -- names of what was taken beyond it
    notes TEXT NOT NULL,            -- what waits beside the log: verifications, changes of its status
    asked_at BIGINT,                -- when verification was asked for last
    moved_at BIGINT NOT NULL,       -- something was taken or set last
    holder TEXT NOT NULL,           -- the node that pushes it now; no version
    held_until BIGINT NOT NULL,
    body TEXT NOT NULL,             -- what the receiver set
    sealed BYTEA NOT NULL           -- the receiver's authorization header; empty where there is none
) /* STRICT */;
CREATE INDEX stream_by_receiver ON stream (receiver);
