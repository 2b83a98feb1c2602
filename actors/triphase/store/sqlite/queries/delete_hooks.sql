-- Removes the deliveries of a job that have ended.
DELETE FROM hooks WHERE job = ? AND job_n = ? AND state <> 'pending'
