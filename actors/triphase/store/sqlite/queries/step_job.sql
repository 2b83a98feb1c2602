-- Replaces a job's row, if it is at this run and version.
UPDATE jobs
SET run = ?1, version = ?2, owner = ?3, error = ?4, reason = ?5, started_at = ?6,
    finished_at = ?7, queue = ?8, state = ?9, priority = ?10, position = ?11, due_at = ?12,
    queued_at = ?13
WHERE id = ?14 AND run = ?15 AND version = ?16
