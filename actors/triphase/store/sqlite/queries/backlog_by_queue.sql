-- Counts the queued jobs, by queue.
SELECT queue, count(*) FROM jobs INDEXED BY jobs_ready
WHERE state = 'queued'
GROUP BY queue
