-- Screens with a key of their own. They belong to a place, not to a person.

CREATE TABLE terminal (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    jkt TEXT,                       -- of its key, once it has one
    token_hash TEXT,                -- of its link, until that was used
    counter BIGINT NOT NULL,        -- how often it has opened; no version
    opened_at BIGINT,               -- when last; no version
    added_at BIGINT NOT NULL,
    until BIGINT NOT NULL,          -- of its link
    body TEXT NOT NULL
) /* STRICT */;
-- A name is one terminal's for as long as it lives; a key is one's for ever.
CREATE UNIQUE INDEX terminal_live_by_name ON terminal (name) WHERE state IN ('pending', 'active', 'suspended');
CREATE UNIQUE INDEX terminal_by_key ON terminal (jkt) WHERE jkt IS NOT NULL;
CREATE UNIQUE INDEX terminal_by_token ON terminal (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX terminal_stopped ON terminal (id) WHERE state <> 'active';
CREATE INDEX terminal_pending ON terminal (state) WHERE state = 'pending';

ALTER TABLE ceremony ADD COLUMN terminal TEXT;
ALTER TABLE session ADD COLUMN terminal TEXT;
CREATE INDEX ceremony_at_terminal ON ceremony (terminal, opened_at) WHERE terminal IS NOT NULL;
CREATE INDEX session_at_terminal ON session (terminal, id) WHERE terminal IS NOT NULL AND ended IS NULL;

-- A phone's live badge, until a terminal has read it.
CREATE TABLE badge (
    id TEXT NOT NULL PRIMARY KEY,   -- hash of its handle
    device TEXT NOT NULL,
    k BIGINT NOT NULL,              -- version of the server key it is made of
    at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX badge_expiring ON badge (expires_at);
CREATE INDEX badge_of_device ON badge (device);
