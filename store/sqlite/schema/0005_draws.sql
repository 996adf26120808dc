-- What is drawn from counters.
--
-- draw  Amounts that count of a counter of an execution (run), or of one that belongs to
--       nobody (run is 16 zero bytes), until a time in microseconds, which is the greatest
--       number for those without an end. id is "d" and the drawing's own; when it is settled, the row
--       stays for a while with nothing in it, and the true amount is added to a row of all that
--       are settled and end about then: "s" and that time. span is how long it counts.

CREATE TABLE draw (
  run     BLOB    NOT NULL CHECK (length(run) = 16),
  counter TEXT    NOT NULL,
  id      TEXT    NOT NULL,
  amount  INTEGER NOT NULL CHECK (amount >= 0),
  until   INTEGER NOT NULL,
  span    INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  PRIMARY KEY (run, counter, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX draw_until ON draw (until);
