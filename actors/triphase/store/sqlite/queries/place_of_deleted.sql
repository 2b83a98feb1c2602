-- Where the last job of an id stood that was deleted; null if there is none.
SELECT max(job_n) FROM events INDEXED BY events_deleted WHERE type = 'job.deleted' AND job = ?
