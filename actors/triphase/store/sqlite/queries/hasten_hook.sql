-- Lets a pending delivery be tried no later than at a time.
UPDATE hooks SET due_at = min(coalesce(due_at, ?1), ?1) WHERE n = ?2
