-- Adds a phase to the job of an id. The parameters are those of update_phase.sql.
INSERT INTO phases (
    job, idx, name, state, attempt, spent, result, error, progress, started_at, finished_at
)
SELECT n, ?11, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM jobs WHERE id = ?10
