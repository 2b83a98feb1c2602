-- The names of all tables, views and indexes.
SELECT name FROM sqlite_schema
