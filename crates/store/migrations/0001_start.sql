-- The tables of the mechanism: what happened and in which order, who may number it, what was used up.
-- One text serves both engines: only TEXT, BIGINT (integers, booleans, times in microseconds) and BYTEA; every table ends with the STRICT mark.

CREATE TABLE event (
    id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT,                     -- gapless, in commit order; absent until the sequencer has seen the event
    txn TEXT NOT NULL,              -- all events of one cause
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,             -- when it was decided
    ceremony TEXT,
    session TEXT,
    person TEXT,
    device TEXT,
    client TEXT,
    body TEXT NOT NULL,             -- the canonical bytes, as they are hashed
    written_at BIGINT NOT NULL,     -- the store's clock at the write: the order inside one round of numbering
    place BIGINT NOT NULL           -- position within its commit
) /* STRICT */;
CREATE UNIQUE INDEX event_by_seq ON event (seq);
CREATE INDEX event_unnumbered ON event (written_at, place, id) WHERE seq IS NULL;
CREATE INDEX event_by_txn ON event (txn);
CREATE INDEX event_by_ceremony ON event (ceremony) WHERE ceremony IS NOT NULL;
CREATE INDEX event_by_session ON event (session) WHERE session IS NOT NULL;
CREATE INDEX event_by_person ON event (person, at) WHERE person IS NOT NULL;

-- One row, 'head': the newest number given, and the store's clock when it was given.
CREATE TABLE event_head (
    id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL
) /* STRICT */;
INSERT INTO event_head (id, seq, at) VALUES ('head', 0, 0);

-- Who may number events now. The fence grows with every change of holder, the beat with every round.
CREATE TABLE lease (
    id TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    fence BIGINT NOT NULL,
    until BIGINT NOT NULL,
    beat BIGINT NOT NULL
) /* STRICT */;
INSERT INTO lease (id, holder, fence, until, beat) VALUES ('sequencer', '', 0, 0, 0);

-- Names that may be used once (proof ids, codes), kept until nobody could present them any more.
CREATE TABLE burn (
    id TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX burn_by_end ON burn (expires_at);

-- Attempts counted in windows.
CREATE TABLE budget (
    id TEXT NOT NULL PRIMARY KEY,
    window_start BIGINT NOT NULL,
    count BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX budget_by_end ON budget (expires_at);

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) /* STRICT */;
