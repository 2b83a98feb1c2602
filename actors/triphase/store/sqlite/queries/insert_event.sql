-- Adds an event to the log.
INSERT INTO events (seq, job_n, job, version, run, phase, type, at, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
