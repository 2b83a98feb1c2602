-- Makes a delivery pending again, with its tries so far spent.
UPDATE hooks SET state = 'pending', due_at = ?, ended_at = NULL, spent = attempts WHERE n = ?
