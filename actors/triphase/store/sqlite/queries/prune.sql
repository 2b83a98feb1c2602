-- Removes what is left of jobs that were deleted before a time.
DELETE FROM events INDEXED BY events_deleted_at WHERE type = 'job.deleted' AND at < ?
