-- The nouns. Rows that decisions rest on carry id and version; facts that move fast stand in columns that no guard watches.

CREATE TABLE person (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL
) /* STRICT */;

-- The only place where a pseudonym meets a name; erasing this row erases the person from the log.
CREATE TABLE name (
    person TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    login TEXT NOT NULL UNIQUE
) /* STRICT */;

CREATE TABLE device (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    person TEXT NOT NULL,
    state TEXT NOT NULL,
    jkt TEXT NOT NULL UNIQUE,       -- thumbprint of the device key
    dk TEXT NOT NULL,               -- the device key, public
    key_class TEXT NOT NULL,
    limited_until BIGINT,
    added_at BIGINT NOT NULL,
    name TEXT NOT NULL
) /* STRICT */;
CREATE INDEX device_by_person ON device (person);

CREATE TABLE credential (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    person TEXT NOT NULL,
    device TEXT NOT NULL,
    live BIGINT NOT NULL,
    public_key TEXT NOT NULL,
    counter BIGINT NOT NULL,
    backup_eligible BIGINT NOT NULL,
    attested BIGINT NOT NULL,
    attestation TEXT NOT NULL,      -- format and authenticator model
    added_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX credential_by_person ON credential (person);
CREATE INDEX credential_by_device ON credential (device);

CREATE TABLE client (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    source TEXT NOT NULL,           -- configuration or command
    body TEXT NOT NULL
) /* STRICT */;

CREATE TABLE request (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    browser_hash TEXT NOT NULL,     -- H(b) of the browser that asked
    client TEXT NOT NULL,
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    body TEXT NOT NULL
) /* STRICT */;
CREATE INDEX request_by_browser ON request (browser_hash);
CREATE INDEX request_by_end ON request (expires_at);

CREATE TABLE ceremony (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    handle_hash TEXT UNIQUE,        -- H(h), until it ends
    code_hash TEXT UNIQUE,          -- H(user code), until it ends
    collector_hash TEXT NOT NULL,   -- H(b) or H(c)
    person TEXT,
    device TEXT,
    client TEXT NOT NULL,
    jkt TEXT NOT NULL,
    source TEXT NOT NULL,           -- network the terminal asked from
    session TEXT,
    opened_at BIGINT NOT NULL,
    deadline BIGINT,                -- when the present state ends by itself
    opening TEXT NOT NULL,
    body TEXT NOT NULL
) /* STRICT */;
CREATE INDEX ceremony_by_deadline ON ceremony (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX ceremony_by_collector ON ceremony (collector_hash);
CREATE INDEX ceremony_by_person ON ceremony (person, opened_at) WHERE person IS NOT NULL;

CREATE TABLE session (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    cookie_hash TEXT NOT NULL UNIQUE,
    person TEXT NOT NULL,
    device TEXT NOT NULL,
    jkt TEXT NOT NULL,
    ended TEXT,                     -- why; absent while it lives
    idle_until BIGINT NOT NULL,     -- moves fast; no version
    until BIGINT NOT NULL,
    body TEXT NOT NULL
) /* STRICT */;
CREATE INDEX session_live_by_person ON session (person) WHERE ended IS NULL;
CREATE INDEX session_live_by_device ON session (device) WHERE ended IS NULL;
CREATE INDEX session_live_by_terminal ON session (jkt) WHERE ended IS NULL;
CREATE INDEX session_live_by_idle ON session (idle_until) WHERE ended IS NULL;

CREATE TABLE code (
    id TEXT NOT NULL PRIMARY KEY,   -- H(code)
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    session TEXT NOT NULL,
    client TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    body TEXT NOT NULL
) /* STRICT */;
CREATE INDEX code_by_session ON code (session);
CREATE INDEX code_by_end ON code (expires_at);

CREATE TABLE token (
    id TEXT NOT NULL PRIMARY KEY,   -- jti
    version BIGINT NOT NULL,
    session TEXT NOT NULL,
    client TEXT NOT NULL,
    code TEXT NOT NULL,             -- H(code) it came from
    revoked BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX token_by_session ON token (session);
CREATE INDEX token_by_code ON token (code);
CREATE INDEX token_by_end ON token (expires_at);

CREATE TABLE invitation (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    person TEXT NOT NULL,
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    body TEXT NOT NULL
) /* STRICT */;

CREATE TABLE key (
    id TEXT NOT NULL PRIMARY KEY,   -- kid
    version BIGINT NOT NULL,
    purpose TEXT NOT NULL,          -- sign, or K
    alg TEXT NOT NULL,
    state TEXT NOT NULL,
    public_key TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    made_at BIGINT NOT NULL,
    serial BIGINT NOT NULL          -- version of K that ceremonies name
) /* STRICT */;
CREATE UNIQUE INDEX key_by_serial ON key (purpose, alg, serial);

CREATE TABLE logout (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    client TEXT NOT NULL,
    session TEXT NOT NULL,
    person TEXT NOT NULL,
    txn TEXT NOT NULL,
    state TEXT NOT NULL,
    tries BIGINT NOT NULL,
    next_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX logout_owed ON logout (next_at) WHERE state = 'owed';

CREATE TABLE notice (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    device TEXT,
    at BIGINT NOT NULL,
    state TEXT NOT NULL,
    undo_until BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX notice_by_person ON notice (person, at);

-- Screens that may not ask a person (or, with person absent, anybody) until a time.
CREATE TABLE quarantine (
    id TEXT NOT NULL PRIMARY KEY,
    person TEXT NOT NULL,           -- '' for everyone
    client TEXT NOT NULL,
    source TEXT NOT NULL,
    jkt TEXT NOT NULL,
    at BIGINT NOT NULL,
    until BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX quarantine_by_source ON quarantine (source, until);
CREATE INDEX quarantine_by_jkt ON quarantine (jkt, until);

-- Scans that were refused, so that "this was not me" can be said about them for two minutes.
CREATE TABLE refused_scan (
    id TEXT NOT NULL PRIMARY KEY,   -- device and ceremony
    device TEXT NOT NULL,
    ceremony TEXT NOT NULL,
    until BIGINT NOT NULL
) /* STRICT */;

-- Challenges for a passkey used on the terminal, each for one authorization request.
CREATE TABLE challenge (
    id TEXT NOT NULL PRIMARY KEY,   -- H(challenge)
    request TEXT NOT NULL,
    browser_hash TEXT NOT NULL,
    expires_at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX challenge_by_end ON challenge (expires_at);
