-- The log after a seq. types is a JSON list, or null for any.
SELECT $event_columns FROM events
WHERE seq > :after
    $of_job
    AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
ORDER BY seq
LIMIT :limit
