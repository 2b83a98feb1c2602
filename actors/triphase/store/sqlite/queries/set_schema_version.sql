-- Notes the number of the last migration that was applied.
REPLACE INTO meta (key, value) VALUES ('schema_version', ?)
