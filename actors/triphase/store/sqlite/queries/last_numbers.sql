-- The highest seq that was ever given, whether its event is still there or not, and the highest n
-- that a job has or had, as long as anything of it is there.
SELECT
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0),
    max(coalesce((SELECT max(n) FROM jobs), 0), coalesce((SELECT max(job_n) FROM events), 0))
