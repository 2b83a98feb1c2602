-- Replaces one phase of a job.
UPDATE phases
SET name = ?, version = ?, state = ?, attempt = ?, spent = ?, result = ?, error = ?,
    progress = ?, gate = ?, origin = ?, started_at = ?, finished_at = ?
WHERE job = ? AND idx = ?
