-- The delivery of an id.
SELECT $hook_columns FROM hooks WHERE id = ?
