-- The version of a phase's declaration that its result belongs to.

ALTER TABLE phases ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
