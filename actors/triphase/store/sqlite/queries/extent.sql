-- Which log it is, the highest seq that was pruned, and the highest that was ever given.
SELECT
    (SELECT value FROM meta WHERE key = 'store_id'),
    coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'log_floor'), 0),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)
