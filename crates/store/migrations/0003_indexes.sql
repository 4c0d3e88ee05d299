-- Ways to rows that were found by reading the whole table.

CREATE INDEX quarantine_by_end ON quarantine (until);
CREATE INDEX refused_scan_by_end ON refused_scan (until);
CREATE INDEX refused_scan_by_device ON refused_scan (device, until);
CREATE INDEX person_administrators ON person (id) WHERE role = 'administrator' AND state = 'active';
CREATE INDEX invitation_by_person ON invitation (person) WHERE state = 'open';
-- A refusal is looked up by the reference its person was shown; refusals are few beside everything else.
CREATE INDEX event_refused ON event (at) WHERE kind = 'step.refused';
CREATE INDEX device_by_state ON device (state, id);
