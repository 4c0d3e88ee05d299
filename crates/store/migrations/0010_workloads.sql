-- Programs that act for themselves. They share no table with people; the owner is a reference and nothing else.

CREATE TABLE workload (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    client TEXT NOT NULL,           -- the client_id under which it asks
    owner TEXT NOT NULL,            -- the person who answers for it
    until BIGINT NOT NULL,          -- its end date
    ended TEXT,                     -- why; absent while it lives
    access_after BIGINT NOT NULL,   -- tokens made before this are worth nothing: its keys changed
    added_at BIGINT NOT NULL,
    source TEXT NOT NULL,           -- configuration or command
    body TEXT NOT NULL
) /* STRICT */;
-- What ended keeps its row; its name may be given again.
CREATE UNIQUE INDEX workload_live_by_client ON workload (client) WHERE ended IS NULL;
CREATE INDEX workload_by_client ON workload (client, id);
CREATE INDEX workload_live_by_owner ON workload (owner) WHERE ended IS NULL;
CREATE INDEX workload_live_by_end ON workload (until) WHERE ended IS NULL;

-- When scopes and audiences were last used, so that what nobody needs is found. No decision rests on it.
CREATE TABLE workload_use (
    id TEXT NOT NULL PRIMARY KEY,   -- workload, what, name
    workload TEXT NOT NULL,
    what TEXT NOT NULL,             -- scope or audience
    name TEXT NOT NULL,
    at BIGINT NOT NULL
) /* STRICT */;
CREATE INDEX workload_use_by_workload ON workload_use (workload);
