-- Keeps since when a URL is gone.
INSERT INTO disabled_webhooks (url, at) VALUES (?, ?)
ON CONFLICT (url) DO UPDATE SET at = excluded.at
