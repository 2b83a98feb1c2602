-- The jobs that have waited too long, earliest deadline first.
SELECT $job_columns FROM jobs INDEXED BY jobs_deadline
WHERE deadline <= :now
ORDER BY deadline, n
LIMIT :limit
