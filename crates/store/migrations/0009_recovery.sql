-- The way back for whoever has no device left.

-- One set for each person; a new one replaces it. Of a code only a hash is here.
CREATE TABLE recovery_codes (
    id TEXT NOT NULL PRIMARY KEY,   -- the person
    version BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    body TEXT NOT NULL              -- H(code) of each, and when it was used
) /* STRICT */;

-- A way back through two others. It begins with the first approval.
CREATE TABLE recovery (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    person TEXT NOT NULL,
    jkt TEXT NOT NULL,              -- key of the new device, and of no other
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    body TEXT NOT NULL              -- who approved, when the wait is over
) /* STRICT */;
CREATE UNIQUE INDEX recovery_open ON recovery (person, jkt) WHERE state = 'open';
CREATE INDEX recovery_by_jkt ON recovery (jkt);
CREATE INDEX recovery_by_end ON recovery (expires_at);

-- Whether a recovery let the device in.
ALTER TABLE device ADD COLUMN recovered BIGINT NOT NULL DEFAULT 0;
