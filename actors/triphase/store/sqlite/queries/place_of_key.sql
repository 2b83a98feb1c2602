-- Where the job of an idempotency key stands in the order of submission.
SELECT n, n FROM jobs WHERE key = ?
