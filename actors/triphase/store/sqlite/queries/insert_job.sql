-- Adds a job, unless its id or its key is there already.
INSERT INTO jobs (
    n, id, type, queue, state, priority, position, run, version, key, digest, payload, labels,
    owner, error, reason, stop, timeouts, deadline, submitted_at, due_at, queued_at, started_at,
    claimed_at, finished_at, stale_at, webhooks
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
