-- The jobs that have ended in a state, earliest first. The index is one of all of them, or of
-- those that are not stale.
SELECT $job_columns FROM jobs INDEXED BY $index
WHERE state = :state AND finished_at <= :before $fresh
ORDER BY finished_at, n
LIMIT :limit
