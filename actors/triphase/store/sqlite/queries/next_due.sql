-- When the next scheduled jobs are due.
SELECT n, due_at FROM jobs INDEXED BY jobs_due
WHERE state = 'scheduled'
ORDER BY due_at, n
LIMIT ?
