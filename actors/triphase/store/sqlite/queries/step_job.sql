-- Replaces a job's row.
UPDATE jobs
SET run = ?, version = ?, owner = ?, error = ?, reason = ?, stop = ?, queued_at = ?,
    started_at = ?, finished_at = ?, queue = ?, state = ?, priority = ?, position = ?, due_at = ?
WHERE n = ?
