-- Who promised to speak, and when their silence begins to mean something. All of it moves without the version, in batches: a decision rests
-- on the signal that silence raises, never on these.

ALTER TABLE device ADD COLUMN report_n BIGINT;      -- number of its newest report
ALTER TABLE device ADD COLUMN report_tag TEXT;      -- which report that was: the same number with another tag is a second device
ALTER TABLE device ADD COLUMN silence_at BIGINT;    -- its silence is looked at again then; absent where it promised nothing
ALTER TABLE session ADD COLUMN silence_at BIGINT;   -- the same of the page that shows it

CREATE INDEX device_by_silence ON device (silence_at) WHERE silence_at IS NOT NULL;
CREATE INDEX session_by_silence ON session (silence_at) WHERE silence_at IS NOT NULL AND ended IS NULL;
