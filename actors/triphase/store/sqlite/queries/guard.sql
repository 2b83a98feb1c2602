-- What a step is guarded by, what was noted since its last one, and whether it moves the job in an index.
SELECT n, run, version, notes, queue, state, priority, position, due_at, deadline, finished_at,
    stale_at
FROM jobs WHERE id = ?
