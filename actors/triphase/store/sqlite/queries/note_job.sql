-- Counts an event that tells of a job's delivery.
UPDATE jobs SET version = version + 1, notes = notes + 1 WHERE n = ?
