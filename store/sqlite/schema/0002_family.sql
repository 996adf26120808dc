-- Executions may have children.
--
-- execution.parent    whose child it is, by its id; NULL for most.
-- execution.detached  1 if its parent's end is not told to it.
-- execution.depth     as the engine gave it.
-- message.kin         1 for what a parent or a child told: it takes no room in the inbox.
--
-- A family is pruned through the one that has no parent, so the index of what
-- has ended has no children.

ALTER TABLE execution ADD COLUMN parent BLOB;
ALTER TABLE execution ADD COLUMN detached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN kin INTEGER NOT NULL DEFAULT 0;

CREATE INDEX execution_parent ON execution (parent, id) WHERE parent IS NOT NULL;
DROP INDEX execution_ended;
CREATE INDEX execution_ended ON execution (workflow, version, status, ended, parent) WHERE ended IS NOT NULL AND parent IS NULL;
