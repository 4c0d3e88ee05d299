-- Rows for people $1 to $2 at the time $3, for the benchmark: person, name, device, passkey, running session, grant and a used-up name.
-- Nobody of them ever comes: they are only there. For SQLite alone.

WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO person (id, version, state, role, created_at) SELECT printf('01900000-0000-7000-8000-%012x', i), 1, 'active', 'member', $3 FROM n;

WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO name (person, name, login) SELECT printf('01900000-0000-7000-8000-%012x', i), 'Person ' || i, printf('p%d-%d', i, $3 % 7) FROM n;

WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO device (id, version, person, state, jkt, dk, key_class, added_at, name) SELECT printf('01900000-0000-7000-8001-%012x', i), 1, printf('01900000-0000-7000-8000-%012x', i), 'active', hex(randomblob(21)), printf('{"kty":"EC","crv":"P-256","x":"%.43c","y":"%.43c"}', 'x', 'y'), 'software', $3, 'Phone' FROM n;

WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO credential (id, version, person, device, live, public_key, counter, backup_eligible, attested, attestation, added_at) SELECT hex(randomblob(21)), 1, printf('01900000-0000-7000-8000-%012x', i), printf('01900000-0000-7000-8001-%012x', i), 1, printf('%.100c', 'k'), 0, 0, 0, 'none', $3 FROM n;

WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO session (id, version, cookie_hash, person, device, jkt, idle_until, until, body) SELECT printf('01900000-0000-7000-8002-%012x', i), 1, hex(randomblob(21)), printf('01900000-0000-7000-8000-%012x', i), printf('01900000-0000-7000-8001-%012x', i), hex(randomblob(21)), $3 + 28800000000, $3 + 28800000000, printf('{"filler":"%.200c"}', 's') FROM n;

WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO oauth_grant (id, version, session, client, code, expires_at, access_after, renewed_at, k, body) SELECT printf('01900000-0000-7000-8003-%012x', i), 1, printf('01900000-0000-7000-8002-%012x', i), 'till', hex(randomblob(21)), $3 + 28800000000, 0, 0, 0, printf('{"filler":"%.100c"}', 'g') FROM n;

WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO burn (id, expires_at) SELECT 'dpop/' || hex(randomblob(21)), $3 + 600000000 + i FROM n
