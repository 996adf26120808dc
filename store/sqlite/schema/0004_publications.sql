-- What is published.
--
-- publication  What was published for a topic and waits for a taker, or was given to
--              some (got) and is known by its dedupe name until its time is over.
-- wait.shared  1 if what is published for the topic is for it, too.

ALTER TABLE wait ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;
CREATE INDEX wait_shared ON wait (topic, execution, opened, id) WHERE shared = 1;

CREATE TABLE publication (
  n       INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of acceptance
  topic   TEXT    NOT NULL,
  dedupe  TEXT    NOT NULL,
  until   INTEGER NOT NULL,
  got     INTEGER NOT NULL, -- executions that have it; 0: it is kept
  payload BLOB,
  UNIQUE (topic, dedupe)
) STRICT;

CREATE INDEX publication_kept ON publication (topic, n) WHERE got = 0;
CREATE INDEX publication_until ON publication (until);
