-- Adds a phase to a job. The parameters are those of update_phase.sql.
INSERT INTO phases (
    name, version, state, attempt, spent, result, error, progress, gate, origin, started_at,
    finished_at, job, idx
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
