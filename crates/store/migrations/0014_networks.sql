-- Networks that a device was seen in, oldest first, as a list of texts. It moves without the version: a decision rests on the signal that a
-- new one raises, never on this.

ALTER TABLE device ADD COLUMN networks TEXT;
