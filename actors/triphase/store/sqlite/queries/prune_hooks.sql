-- Removes the deliveries of deleted jobs that have ended before a time.
DELETE FROM hooks INDEXED BY hooks_left
WHERE job_n IS NULL AND ended_at IS NOT NULL AND ended_at < ?
