-- Keeps what became of a try of a delivery.
UPDATE hooks SET state = ?, attempts = ?, due_at = ?, ended_at = ?, status = ?, error = ? WHERE n = ?
