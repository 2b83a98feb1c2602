-- The queued jobs of a queue, as they are to be started. types is a JSON list.
SELECT $job_columns FROM jobs INDEXED BY jobs_ready
WHERE state = 'queued' AND queue = :queue AND type IN (SELECT value FROM json_each(:types))
ORDER BY priority DESC, position, n
LIMIT :limit
