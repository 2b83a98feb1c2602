-- What was last set for each queue.
SELECT name, paused, slots FROM queues
