-- The same for a step that leaves everything as it is that an index looks at: it costs half.
-- The parameters are those of step_job.sql.
UPDATE jobs
SET run = ?1, version = ?2, owner = ?3, error = ?4, reason = ?5, started_at = ?6,
    finished_at = ?7
WHERE id = ?14 AND run = ?15 AND version = ?16 AND queue = ?8 AND state = ?9
    AND priority = ?10 AND position = ?11 AND due_at = ?12 AND queued_at IS ?13
