-- A body that many executions name is kept once.
--
-- body   Contents of blobs, by their SHA-256. n is the short name, and may be given again.
-- piece  What does not fit into the row of body, in order: those of body n have the numbers
--        from 16n+1 to 16n+15. Rows of some hundred bytes fill pages; rows of half a page leave them half empty.
-- named  Which bodies an execution has named: it reads these and no others. A body goes
--        with the last execution that has named it.

CREATE TABLE body (
  n       INTEGER PRIMARY KEY,
  hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  content BLOB NOT NULL
) STRICT;

CREATE TABLE piece (
  n       INTEGER PRIMARY KEY,
  content BLOB NOT NULL
) STRICT;

CREATE TABLE named (
  execution INTEGER NOT NULL,
  body      INTEGER NOT NULL,
  PRIMARY KEY (execution, body)
) STRICT, WITHOUT ROWID;

CREATE INDEX named_body ON named (body);

-- In the order in which they lie: nothing is sorted, however much there is.
INSERT INTO body (hash, content) SELECT unhex(hash), ifnull(substr(body, 1, 630), x'') FROM blob WHERE TRUE ON CONFLICT (hash) DO NOTHING;
INSERT INTO piece (n, content) SELECT body.n * 16 + 1, substr(b.body, 631) FROM blob b CROSS JOIN body ON body.hash = unhex(b.hash)
  WHERE length(b.body) > 630 ON CONFLICT (n) DO NOTHING;
INSERT INTO named (execution, body) SELECT b.execution, body.n FROM blob b CROSS JOIN body ON body.hash = unhex(b.hash);
DROP TABLE blob;
