-- Keeps the settings of a queue, in the place of those that were kept.
REPLACE INTO queues (name, paused, slots) VALUES (?, ?, ?)
