-- What executions let readers see while they work.
--
-- chunk  Events of streams: text (kind 1), a reset (2), or the end with the whole text (3). A stream
--        only grows at its end, and a reset or an end removes what was before it.

CREATE TABLE chunk (
  execution INTEGER NOT NULL,
  stream    TEXT    NOT NULL,
  idx       INTEGER NOT NULL,
  kind      INTEGER NOT NULL,
  attempt   INTEGER NOT NULL,
  body      BLOB,
  UNIQUE (execution, stream, idx)
) STRICT;
