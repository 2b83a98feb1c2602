-- What a step of a delivery is guarded by, whose it is, and where it goes.
SELECT n, state, attempts, job_n, job, url FROM hooks WHERE id = ?
