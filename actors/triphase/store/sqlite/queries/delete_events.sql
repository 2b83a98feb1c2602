-- Removes all events of a job from the log.
DELETE FROM events WHERE job_n = ?
