-- The job of an idempotency key.
SELECT $job_columns FROM jobs WHERE key = ?
