-- What is published.
--
-- publication  What was published for a topic and waits for a taker, or was given to
--              some (got) and is known by its dedupe name until its time is over. Who
--              publishes for a topic, or opens a shared wait for it, has it locked.
-- wait.shared  true if what is published for the topic is for it, too.

ALTER TABLE durable.wait ADD COLUMN shared boolean NOT NULL DEFAULT FALSE;
CREATE INDEX wait_shared ON durable.wait (topic, execution, opened, id) WHERE shared;

CREATE TABLE durable.publication (
  n       bigint      GENERATED ALWAYS AS IDENTITY, -- of one topic: the order of acceptance
  topic   text        COLLATE "C" NOT NULL,
  dedupe  text        COLLATE "C" NOT NULL,
  until   timestamptz NOT NULL,
  got     bigint      NOT NULL, -- executions that have it; 0: it is kept
  payload bytea,
  PRIMARY KEY (topic, dedupe)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE INDEX publication_kept ON durable.publication (topic, n) WHERE got = 0;
CREATE INDEX publication_until ON durable.publication (until);
