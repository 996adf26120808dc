-- What executions let readers see while they work.
--
-- chunk  Events of streams: text (kind 1), a reset (2), or the end with the whole text (3). A stream
--        only grows at its end, and a reset or an end removes what was before it. They come
--        and go all the time; what stays of a stream is one row.

CREATE TABLE durable.chunk (
  execution uuid     NOT NULL,
  stream    text     COLLATE "C" NOT NULL,
  idx       bigint   NOT NULL,
  kind      smallint NOT NULL,
  attempt   integer  NOT NULL,
  body      bytea,
  PRIMARY KEY (execution, stream, idx)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
