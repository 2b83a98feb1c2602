-- Forgets that a URL was gone.
DELETE FROM disabled_webhooks WHERE url = ?
