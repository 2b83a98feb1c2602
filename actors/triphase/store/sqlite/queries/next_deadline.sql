-- When the next jobs will have waited too long.
SELECT n, deadline FROM jobs INDEXED BY jobs_deadline
WHERE deadline IS NOT NULL
ORDER BY deadline, n
LIMIT ?
