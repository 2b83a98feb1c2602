-- Leaves the other deliveries of a job behind, which is about to be deleted.
UPDATE hooks SET job_n = NULL WHERE job = ? AND job_n = ?
