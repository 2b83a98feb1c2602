-- The highest seq that was ever given, whether its event is still there or not.
SELECT seq FROM sqlite_sequence WHERE name = 'events'
