-- What is drawn from counters.
--
-- draw  Amounts that count of a counter of an execution (run), or of one that belongs to
--       nobody (run is all zero), until a time in microseconds since 1970, which is the greatest
--       number for those without an end. id is "d" and the drawing's own; when it is settled, the row
--       stays for a while with nothing in it, and the true amount is added to a row of all that
--       are settled and end about then: "s" and that time. span is how long it counts. Who draws from
--       or settles on a counter has it locked.

CREATE TABLE durable.draw (
  run     uuid    NOT NULL,
  counter text    COLLATE "C" NOT NULL,
  id      text    COLLATE "C" NOT NULL,
  amount  bigint  NOT NULL CHECK (amount >= 0),
  until   bigint  NOT NULL,
  span    bigint  NOT NULL,
  settled boolean NOT NULL,
  PRIMARY KEY (run, counter, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE INDEX draw_until ON durable.draw (until);
