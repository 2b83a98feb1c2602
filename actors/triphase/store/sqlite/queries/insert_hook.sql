-- Adds a delivery to the outbox.
INSERT INTO hooks (
    job_n, id, job, run, seq, event, url, delivery, secret, state, attempts, spent, due_at,
    created_at, ended_at, status, error, body
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
