-- Removes the phases of a job from an index on.
DELETE FROM phases WHERE job = ? AND idx >= ?
