-- Counts the jobs that hold a slot, by queue.
SELECT queue, count(*)
FROM jobs
WHERE state IN ('running', 'stopping', 'detached')
GROUP BY queue
