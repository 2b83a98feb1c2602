-- Replaces one phase of the job of an id.
UPDATE phases
SET name = ?1, state = ?2, attempt = ?3, spent = ?4, result = ?5, error = ?6, progress = ?7,
    started_at = ?8, finished_at = ?9
WHERE job = (SELECT n FROM jobs WHERE id = ?10) AND idx = ?11
