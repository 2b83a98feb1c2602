-- The scheduled jobs that are due, earliest first.
SELECT $job_columns FROM jobs INDEXED BY jobs_due
WHERE state = 'scheduled' AND due_at <= :now
ORDER BY due_at, n
LIMIT :limit
