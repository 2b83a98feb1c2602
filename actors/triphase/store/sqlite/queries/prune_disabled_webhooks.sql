-- Forgets which URLs were gone before a time.
DELETE FROM disabled_webhooks INDEXED BY disabled_webhooks_at WHERE at < ?
