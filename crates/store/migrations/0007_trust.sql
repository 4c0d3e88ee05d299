-- What decisions rest on over time. Posture and news stand in the row they are about, so that a change moves its version and whatever was
-- decided on the old one loses; only the time of a device's last word moves without.

ALTER TABLE device ADD COLUMN posture TEXT;     -- facts with source, confidence and time
ALTER TABLE device ADD COLUMN seen_at BIGINT;   -- it last spoke for itself; no version
ALTER TABLE device ADD COLUMN signals TEXT;
ALTER TABLE person ADD COLUMN signals TEXT;
ALTER TABLE session ADD COLUMN signals TEXT;
ALTER TABLE session ADD COLUMN standing TEXT;   -- why it does not simply go on; absent while it does

DROP INDEX session_live_by_person;
DROP INDEX session_live_by_device;
CREATE INDEX session_live_by_person ON session (person, id) WHERE ended IS NULL;
CREATE INDEX session_live_by_device ON session (device, id) WHERE ended IS NULL;
CREATE INDEX session_resting ON session (id) WHERE standing IS NOT NULL AND ended IS NULL;

-- What is to be judged again, written with the change that asks for it, so that no crash forgets it.
CREATE TABLE judgement (
    id TEXT NOT NULL PRIMARY KEY,   -- what changed: kind and id
    txn TEXT NOT NULL,              -- the cause
    at BIGINT NOT NULL
) /* STRICT, WITHOUT ROWID */;
CREATE INDEX judgement_by_time ON judgement (at, id);
