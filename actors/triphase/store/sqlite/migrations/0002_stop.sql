-- What the last run was stopped for, and how that went; JSON, or null.

ALTER TABLE jobs ADD COLUMN stop TEXT;
