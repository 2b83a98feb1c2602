-- What a job may take, and when it has waited too long; gates; what becomes of jobs after their
-- end; and the settings of queues.

-- timeouts is JSON, and empty if nothing is limited.
ALTER TABLE jobs ADD COLUMN timeouts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN deadline REAL;
ALTER TABLE jobs ADD COLUMN claimed_at REAL;
ALTER TABLE jobs ADD COLUMN stale_at REAL;

CREATE INDEX jobs_deadline ON jobs (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;
-- Of its own: those that are stale already stand before all the others.
CREATE INDEX jobs_fresh ON jobs (state, finished_at)
    WHERE finished_at IS NOT NULL AND stale_at IS NULL;

-- gate is JSON, or null.
ALTER TABLE phases ADD COLUMN gate TEXT;
ALTER TABLE phases ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;

-- All that is left of a deleted job: found by its id, and pruned by its age.
CREATE INDEX events_deleted ON events (job, job_n) WHERE type = 'job.deleted';
CREATE INDEX events_deleted_at ON events (at) WHERE type = 'job.deleted';

-- slots is null if it is as declared.
CREATE TABLE queues (
    name   TEXT PRIMARY KEY NOT NULL,
    paused INTEGER,
    slots  INTEGER
) STRICT, WITHOUT ROWID;

-- A handler was asked and cancelled in one step, and a stop told only whether it was abandoned.
-- `->` gives a number as it was written; as a value it would lose digits.
UPDATE jobs
SET stop = json_remove(
    json_set(
        stop,
        '$.cancel_at', json(stop -> '$.asked_at'),
        '$.step', 'cancel',
        '$.deadline', CASE stop ->> '$.cause'
            WHEN 'timeout' THEN iif(stop ->> '$.whole_job', 'job', 'phase')
        END,
        '$.how', CASE
            WHEN stop ->> '$.stopped_at' IS NOT NULL
            THEN iif(stop ->> '$.abandoned', 'abandoned', 'stopped')
        END
    ),
    '$.whole_job', '$.abandoned'
)
WHERE json_valid(stop);
