-- Places for requests that wait for a person's answer: one for each client, and a few in all. They stand under the digest of the login
-- name that was asked for, whether anybody has that name or not, so that nothing can be told from them.

CREATE TABLE push_place (
    id TEXT NOT NULL PRIMARY KEY,   -- login and which place
    login TEXT NOT NULL,            -- H(login name)
    ceremony TEXT NOT NULL,         -- who has it
    expires_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX push_place_by_login ON push_place (login);
CREATE INDEX push_place_by_ceremony ON push_place (ceremony);
CREATE INDEX push_place_by_end ON push_place (expires_at);
