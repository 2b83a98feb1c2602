-- The phases of some jobs, given as a JSON list of their n.
SELECT $phase_columns FROM phases
WHERE job IN (SELECT value FROM json_each(?))
ORDER BY job, idx
