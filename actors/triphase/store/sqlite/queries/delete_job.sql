-- Removes a job's row.
DELETE FROM jobs WHERE n = ?
