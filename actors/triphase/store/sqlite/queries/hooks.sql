-- Deliveries behind a place, in the order of their places.
SELECT $hook_columns FROM hooks INDEXED BY $index
WHERE (seq, id) > (:seq, :id) $chosen
ORDER BY seq, id
LIMIT :limit
