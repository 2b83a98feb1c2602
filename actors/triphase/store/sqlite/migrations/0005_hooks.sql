-- The outbox: deliveries of events, and where the events of a job are delivered.

-- webhooks is a JSON list. notes is how many of the job's last events tell of its deliveries: a
-- step that was decided before them is still valid.
ALTER TABLE jobs ADD COLUMN webhooks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN notes INTEGER NOT NULL DEFAULT 0;

-- job_n is the job's n, and null once the job was deleted. body is JSON, and the last column: a list
-- of deliveries is read without it.
CREATE TABLE hooks (
    n          INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    job_n      INTEGER,
    job        TEXT NOT NULL,
    run        INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    event      TEXT NOT NULL,
    url        TEXT NOT NULL,
    delivery   TEXT NOT NULL,
    secret     TEXT,
    state      TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    spent      INTEGER NOT NULL,
    due_at     REAL,
    created_at REAL NOT NULL,
    ended_at   REAL,
    status     INTEGER,
    error      TEXT,
    body       TEXT NOT NULL
) STRICT;

CREATE INDEX hooks_place ON hooks (seq, id);
CREATE INDEX hooks_state ON hooks (state, seq, id);
CREATE INDEX hooks_job ON hooks (job, seq, id);
-- With the URL and the job, so that what may not be tried is passed over without reading its row.
CREATE INDEX hooks_due ON hooks (due_at, seq, id, url, job) WHERE state = 'pending';
CREATE INDEX hooks_pending ON hooks (job, url, seq, id) WHERE state = 'pending';
CREATE INDEX hooks_left ON hooks (ended_at) WHERE job_n IS NULL AND ended_at IS NOT NULL;

-- URLs whose receivers have said that they are gone, and when.
CREATE TABLE disabled_webhooks (
    url TEXT PRIMARY KEY NOT NULL,
    at  REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX disabled_webhooks_at ON disabled_webhooks (at);
