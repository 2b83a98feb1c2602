-- Counts the deliveries in each state.
SELECT state, count(*) FROM hooks GROUP BY state
