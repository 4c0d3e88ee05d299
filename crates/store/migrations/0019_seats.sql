-- A person's seat on a phone that a shift shares: the phone is a registered terminal, the seat a device.

ALTER TABLE device ADD COLUMN phone TEXT;               -- the terminal; none where its person shares it with nobody
ALTER TABLE device ADD COLUMN unlocked_until BIGINT;    -- its person's passkey was used; good until then
ALTER TABLE device ADD COLUMN rests BIGINT NOT NULL DEFAULT 0; -- suspended along with the phone
CREATE INDEX device_on_phone ON device (phone, added_at) WHERE phone IS NOT NULL;
