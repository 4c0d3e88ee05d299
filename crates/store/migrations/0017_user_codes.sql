-- The word that clients must bring who ask for a person by name (CIBA Core 1.0 §7.1), where the person set one: rounds, salt and a slow hash.

ALTER TABLE person ADD COLUMN user_code TEXT;
