-- Counts the jobs that hold a slot, by queue.
SELECT queue, count(*) FROM jobs INDEXED BY jobs_slots
WHERE state IN ('running', 'stopping', 'detached')
GROUP BY queue
