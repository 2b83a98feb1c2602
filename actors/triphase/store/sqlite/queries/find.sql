-- Jobs in the order of their submission, between two n. A condition that is null is none;
-- types and queues are JSON lists, labels is a JSON object.
SELECT $job_columns FROM jobs
WHERE n BETWEEN :low AND :high
    $in_state
    AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
    AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    AND (:prefix IS NULL OR substr(id, 1, length(:prefix)) = :prefix)
    AND (:labels IS NULL OR NOT EXISTS (
        SELECT 1 FROM json_each(:labels) AS wanted
        WHERE NOT EXISTS (
            SELECT 1 FROM json_each(iif(json_valid(jobs.labels), jobs.labels, '{}')) AS label
            WHERE label.key = wanted.key AND label.value = wanted.value
        )
    ))
ORDER BY n $order
LIMIT :limit
