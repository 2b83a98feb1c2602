-- Counts the jobs that hold a slot: in the whole store, and in one queue.
SELECT count(*), count(*) FILTER (WHERE queue = ?)
FROM jobs
WHERE state IN ('running', 'stopping', 'detached')
