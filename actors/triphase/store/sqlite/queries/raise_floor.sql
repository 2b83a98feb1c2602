-- Keeps the highest seq of the events that `prune` is about to remove.
INSERT INTO meta (key, value)
SELECT 'log_floor', CAST(max(seq) AS TEXT)
FROM events INDEXED BY events_deleted_at
WHERE type = 'job.deleted' AND at < ?
HAVING max(seq) IS NOT NULL
ON CONFLICT (key) DO UPDATE
SET value = excluded.value
WHERE CAST(excluded.value AS INTEGER) > CAST(meta.value AS INTEGER)
