-- What a client was given in one exchange of a code. Access tokens name it, so none of them has a row of its own, and a renewal changes
-- one row and no index. Tokens of the table this replaces live five minutes; they end with the upgrade.

CREATE TABLE oauth_grant (
    id TEXT NOT NULL PRIMARY KEY,   -- follows from the code: one code, one grant
    version BIGINT NOT NULL,
    session TEXT NOT NULL,
    client TEXT NOT NULL,
    code TEXT NOT NULL,             -- H(code) it came from
    ended TEXT,                     -- why; absent while it lives
    expires_at BIGINT NOT NULL,     -- with its session
    access_after BIGINT NOT NULL,   -- access tokens made before this are worth nothing
    family TEXT,                    -- H(what its refresh tokens share); absent where it cannot be renewed
    good TEXT,                      -- H(the refresh token that is good)
    former TEXT,                    -- H(the one before it)
    renewed_at BIGINT NOT NULL,
    k BIGINT NOT NULL,              -- server key that the good one was derived with
    body TEXT NOT NULL              -- what never changes
) /* STRICT */;
CREATE INDEX oauth_grant_by_session ON oauth_grant (session);
CREATE INDEX oauth_grant_by_end ON oauth_grant (expires_at);

DROP TABLE token;
