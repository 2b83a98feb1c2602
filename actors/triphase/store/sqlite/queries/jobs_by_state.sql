-- Counts the jobs in each state.
SELECT state, count(*) FROM jobs GROUP BY state
