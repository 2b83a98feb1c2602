-- Deliveries by the numbers of their rows, in any order.
SELECT $hook_columns FROM hooks WHERE n IN (SELECT value FROM json_each(?))
