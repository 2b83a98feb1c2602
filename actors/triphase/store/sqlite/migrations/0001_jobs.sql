-- Jobs, their phases, and the log of their events.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES
    ('store_id', lower(hex(randomblob(16)))),
    ('created', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'));

-- n is the order of submission. payload, labels and error are JSON.
CREATE TABLE jobs (
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    type         TEXT NOT NULL,
    queue        TEXT NOT NULL,
    state        TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    run          INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    key          TEXT,
    digest       TEXT NOT NULL,
    payload      TEXT NOT NULL,
    labels       TEXT NOT NULL,
    owner        TEXT,
    error        TEXT,
    reason       TEXT,
    submitted_at REAL NOT NULL,
    due_at       REAL NOT NULL,
    queued_at    REAL,
    started_at   REAL,
    finished_at  REAL
) STRICT;

CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL;
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, position) WHERE state = 'queued';
CREATE INDEX jobs_due ON jobs (due_at) WHERE state = 'scheduled';
CREATE INDEX jobs_slots ON jobs (queue, state)
    WHERE state IN ('running', 'stopping', 'detached');

-- spent, result, error and progress are JSON. A result is written once, by its phase's step.
CREATE TABLE phases (
    job         INTEGER NOT NULL REFERENCES jobs (n),
    idx         INTEGER NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    spent       TEXT NOT NULL,
    result      TEXT,
    error       TEXT,
    progress    TEXT,
    started_at  REAL,
    finished_at REAL,
    PRIMARY KEY (job, idx)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the seq of a pruned event is never given again. data is JSON.
-- job_n is the job's n: ids are random, and an index on them would touch a page for each event.
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    job_n   INTEGER NOT NULL,
    job     TEXT NOT NULL,
    version INTEGER NOT NULL,
    run     INTEGER NOT NULL,
    phase   TEXT,
    type    TEXT NOT NULL,
    at      REAL NOT NULL,
    data    TEXT NOT NULL
) STRICT;

CREATE INDEX events_job ON events (job_n, seq);
