-- The number of the last migration that was applied.
SELECT value FROM meta WHERE key = 'schema_version'
