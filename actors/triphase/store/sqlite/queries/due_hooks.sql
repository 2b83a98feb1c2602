-- Of the first pending deliveries of their job and URL, those that are due, earliest first.
SELECT due_at, n FROM hooks INDEXED BY hooks_due
WHERE state = 'pending' AND due_at <= :now
    AND url NOT IN (SELECT value FROM json_each(:resting))
    AND id NOT IN (SELECT value FROM json_each(:taken))
    AND n NOT IN (SELECT value FROM json_each(:corrupt))
    AND NOT EXISTS (
        SELECT 1 FROM hooks AS earlier INDEXED BY hooks_pending
        WHERE earlier.state = 'pending' AND earlier.job = hooks.job AND earlier.url = hooks.url
            AND (earlier.seq, earlier.id) < (hooks.seq, hooks.id)
            AND earlier.n NOT IN (SELECT value FROM json_each(:corrupt))
    )
ORDER BY due_at, seq, id
LIMIT :limit
