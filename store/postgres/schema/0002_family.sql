-- Executions may have children.
--
-- execution.parent    whose child it is; NULL for most.
-- execution.detached  true if its parent's end is not told to it.
-- execution.depth     as the engine gave it.
-- message.kin         true for what a parent or a child told: it takes no room in the inbox.
--
-- A family is pruned through the one that has no parent, so the index of what
-- has ended has no children.

ALTER TABLE durable.execution
  ADD COLUMN parent   uuid,
  ADD COLUMN detached boolean NOT NULL DEFAULT FALSE,
  ADD COLUMN depth    integer NOT NULL DEFAULT 0;
ALTER TABLE durable.message ADD COLUMN kin boolean NOT NULL DEFAULT FALSE;

CREATE INDEX execution_parent ON durable.execution (parent, id) WHERE parent IS NOT NULL;
DROP INDEX durable.execution_ended;
CREATE INDEX execution_ended ON durable.execution (workflow, version, status, ended) WHERE ended IS NOT NULL AND parent IS NULL;
