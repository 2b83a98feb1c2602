-- The job of an id.
SELECT $job_columns FROM jobs WHERE id = ?
