-- How many of a job's last events tell of its deliveries.
SELECT notes FROM jobs WHERE n = ?
