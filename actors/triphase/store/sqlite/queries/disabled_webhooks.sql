-- Which of some URLs are gone, and since when.
SELECT url, at FROM disabled_webhooks WHERE url IN (SELECT value FROM json_each(?))
