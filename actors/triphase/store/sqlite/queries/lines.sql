-- The first pending delivery of each job and URL: from one pair to the next, with the same effort
-- however many stand behind each.
WITH RECURSIVE line (n, job, url) AS (
    SELECT 0, '', ''
    UNION ALL
    SELECT first.n, first.job, first.url
    FROM line JOIN hooks AS first ON first.n = coalesce(
        (
            SELECT n FROM hooks INDEXED BY hooks_pending
            WHERE state = 'pending' AND job = line.job AND url > line.url
                AND n NOT IN (SELECT value FROM json_each(:corrupt))
            ORDER BY url, seq, id
            LIMIT 1
        ),
        (
            SELECT n FROM hooks INDEXED BY hooks_pending
            WHERE state = 'pending' AND job > line.job
                AND n NOT IN (SELECT value FROM json_each(:corrupt))
            ORDER BY job, url, seq, id
            LIMIT 1
        )
    )
)
SELECT hooks.n, hooks.due_at, hooks.seq, hooks.id, hooks.url
FROM line JOIN hooks ON hooks.n = line.n
LIMIT :limit
