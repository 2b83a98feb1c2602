-- Replaces a job's row when nothing changes that an index looks at: half the cost of
-- step_job.sql, whose first parameters these are.
UPDATE jobs
SET run = ?, version = ?, owner = ?, error = ?, reason = ?, stop = ?, queued_at = ?, started_at = ?,
    claimed_at = ?, notes = 0
WHERE n = ?
