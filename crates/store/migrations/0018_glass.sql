-- Rights without the line. A grant as the server remembers it: what it says, and who can open it, stands in the terminal's copy, signed.

CREATE TABLE glass (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    terminal TEXT NOT NULL,
    client TEXT NOT NULL,
    serial BIGINT NOT NULL,         -- the terminal's how many-th
    state TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    due BIGINT NOT NULL,            -- handed in by then, or missed
    last TEXT                       -- digest of the last record that was handed in
) /* STRICT */;
-- No next one before the last was handed in.
CREATE UNIQUE INDEX glass_open ON glass (terminal) WHERE state = 'open';
CREATE INDEX glass_due ON glass (due) WHERE state = 'open';
CREATE INDEX glass_of_terminal ON glass (terminal, serial);

-- What two people opened, as it was handed in.
CREATE TABLE glass_use (
    id TEXT NOT NULL PRIMARY KEY,   -- digest of its record
    version BIGINT NOT NULL,
    glass TEXT NOT NULL,
    waits BIGINT NOT NULL,          -- 1 until somebody reviewed it
    handed_at BIGINT NOT NULL,
    body TEXT NOT NULL
) /* STRICT */;
CREATE INDEX glass_use_waiting ON glass_use (handed_at, id) WHERE waits = 1;
CREATE INDEX glass_use_by_time ON glass_use (handed_at, id);
