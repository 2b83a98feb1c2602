-- Replaces a job's row.
UPDATE jobs
SET run = ?, version = ?, owner = ?, error = ?, reason = ?, stop = ?, queued_at = ?, started_at = ?,
    claimed_at = ?, queue = ?, state = ?, priority = ?, position = ?, due_at = ?, deadline = ?,
    finished_at = ?, stale_at = ?, notes = 0
WHERE n = ?
