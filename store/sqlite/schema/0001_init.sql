-- The tables of one durable database.
--
-- execution   One header row per execution: what it is, where it stands, whose
--             it is. Written when an execution begins, is claimed, parked or
--             ended, and when a message arrives; never per step. n is its short
--             name in all other tables; it says nothing about age, and that of
--             a pruned execution may be given again.
-- journal     One row per write of an owner, opaque bytes. Append-only; rows
--             lie in the order in which they were written, whosever they are,
--             so a batch touches few pages. An execution's length is its
--             highest seq.
-- snapshot    The newest snapshot of an execution; it stands for the rows up
--             to seq, which stay.
-- message     Messages accepted and not yet taken.
-- accepted    Which messages were ever accepted, by their dedupe names.
-- wait        Open waits; a closed wait has no row. execution.waits counts them.
-- hold        Amounts lent from named limits that are shared by executions.
-- token       Amounts taken from named limits for a time, by whomever. Those of one
--             moment share a row; rows whose time is over go when the next is taken.
-- pause       Queues that are paused, since when and by whom.
-- log         Log entries of attempts.
-- blob        Blobs of an execution by the SHA-256 of their content.
-- durable_schema  Which of these files have been applied, and when.
-- lease       One row per living worker incarnation, and per dead one until it
--             is expired.
--
-- All times are microseconds since 1970 in UTC. An absent time, and an absent
-- owner, is NULL. No default looks at a clock: the store says what time it is.

PRAGMA application_id = 1148539495; -- "DuRg": this file is one of ours

CREATE TABLE durable_schema (
  version    INTEGER PRIMARY KEY,
  applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE execution (
  n            INTEGER PRIMARY KEY,
  id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
  workflow     TEXT    NOT NULL,
  version      TEXT    NOT NULL,
  queue        TEXT    NOT NULL,
  key          TEXT,
  priority     INTEGER NOT NULL,
  tags         TEXT    NOT NULL,
  status       TEXT    NOT NULL,
  due          INTEGER,
  owner        BLOB,
  epoch        INTEGER NOT NULL,
  inbox        INTEGER NOT NULL DEFAULT 0,
  waits        INTEGER NOT NULL DEFAULT 0 CHECK (waits >= 0),
  stalls       INTEGER NOT NULL DEFAULT 0,
  stall_length INTEGER NOT NULL DEFAULT 0,
  created      INTEGER NOT NULL,
  changed      INTEGER NOT NULL,
  ended        INTEGER,
  input_hash   BLOB,
  blocked      TEXT    NOT NULL DEFAULT '',
  error_code   TEXT    NOT NULL DEFAULT '',
  error        BLOB,
  -- All rows that may be. (A CASE, since IN with a list builds a table per row.)
  CHECK (CASE status
    WHEN 'running'             THEN owner IS NOT NULL AND due IS NULL AND ended IS NULL
    WHEN 'compensating'        THEN (owner IS NULL) = (due IS NOT NULL) AND ended IS NULL
    WHEN 'pending'             THEN owner IS NULL AND due IS NOT NULL AND ended IS NULL
    WHEN 'waiting'             THEN owner IS NULL AND ended IS NULL AND waits > 0
    WHEN 'blocked'             THEN owner IS NULL AND due IS NULL AND ended IS NULL
    WHEN 'completed'           THEN owner IS NULL AND due IS NULL AND ended IS NOT NULL AND waits = 0
    WHEN 'failed'              THEN owner IS NULL AND due IS NULL AND ended IS NOT NULL AND waits = 0
    WHEN 'cancelled'           THEN owner IS NULL AND due IS NULL AND ended IS NOT NULL AND waits = 0
    WHEN 'compensated'         THEN owner IS NULL AND due IS NULL AND ended IS NOT NULL AND waits = 0
    WHEN 'compensation_failed' THEN owner IS NULL AND due IS NULL AND ended IS NOT NULL AND waits = 0
    ELSE FALSE
  END)
) STRICT;

CREATE UNIQUE INDEX execution_key ON execution (workflow, key) WHERE key IS NOT NULL;
-- What may be claimed, now or later. It covers the search for candidates.
CREATE INDEX execution_due ON execution (queue, priority DESC, due, id, workflow, version) WHERE due IS NOT NULL;
CREATE INDEX execution_blocked ON execution (queue, workflow, version, blocked) WHERE status = 'blocked';
CREATE INDEX execution_owner ON execution (owner) WHERE owner IS NOT NULL;
-- Lists by status. Completed ones are most of all and are found without it.
CREATE INDEX execution_status ON execution (status, id) WHERE status <> 'completed';
CREATE INDEX execution_workflow ON execution (workflow, id);
-- What may be pruned, oldest end first. What is open or kept for ever is never looked at.
CREATE INDEX execution_ended ON execution (workflow, version, status, ended) WHERE ended IS NOT NULL;

CREATE TABLE journal (
  execution INTEGER NOT NULL,
  seq       INTEGER NOT NULL,
  epoch     INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  body      BLOB    NOT NULL,
  UNIQUE (execution, seq)
) STRICT;

CREATE TABLE snapshot (
  execution INTEGER PRIMARY KEY,
  seq       INTEGER NOT NULL,
  body      BLOB    NOT NULL
) STRICT;

CREATE TABLE message (
  execution INTEGER NOT NULL,
  seq       INTEGER NOT NULL,
  topic     TEXT    NOT NULL,
  wait      TEXT    NOT NULL,
  at        INTEGER NOT NULL,
  payload   BLOB,
  UNIQUE (execution, seq)
) STRICT;

CREATE TABLE accepted (
  execution INTEGER NOT NULL,
  dedupe    TEXT    NOT NULL,
  PRIMARY KEY (execution, dedupe)
) STRICT, WITHOUT ROWID;

CREATE TABLE wait (
  id        TEXT    NOT NULL UNIQUE,
  execution INTEGER NOT NULL,
  path      TEXT    NOT NULL,
  call      TEXT    NOT NULL,
  kind      TEXT    NOT NULL,
  name      TEXT    NOT NULL,
  topic     TEXT    NOT NULL,
  deadline  INTEGER NOT NULL, -- the greatest integer if there is none, so that it sorts last
  opened    INTEGER NOT NULL,
  detail    BLOB
) STRICT;

CREATE INDEX wait_execution ON wait (execution, topic);
-- Lists ask for few kinds: a million sleepers must not hide one approval.
CREATE INDEX wait_kind ON wait (kind, deadline, opened, id);

CREATE TABLE hold (
  name      TEXT    NOT NULL,
  execution INTEGER NOT NULL,
  amount    INTEGER NOT NULL,
  until     INTEGER NOT NULL,
  PRIMARY KEY (name, execution)
) STRICT, WITHOUT ROWID;

CREATE INDEX hold_execution ON hold (execution);

CREATE TABLE token (
  name   TEXT    NOT NULL,
  until  INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (name, until)
) STRICT, WITHOUT ROWID;

CREATE TABLE pause (
  queue TEXT    NOT NULL PRIMARY KEY,
  since INTEGER NOT NULL,
  who   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE log (
  execution INTEGER NOT NULL,
  path      TEXT    NOT NULL,
  attempt   INTEGER NOT NULL,
  n         INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  level     INTEGER NOT NULL,
  text      TEXT    NOT NULL,
  attrs     BLOB,
  UNIQUE (execution, path, attempt, n)
) STRICT;

CREATE TABLE blob (
  execution INTEGER NOT NULL,
  hash      TEXT    NOT NULL,
  body      BLOB,
  UNIQUE (execution, hash)
) STRICT;

CREATE TABLE lease (
  who     BLOB    NOT NULL PRIMARY KEY CHECK (length(who) = 16),
  name    TEXT    NOT NULL,
  expires INTEGER NOT NULL,
  report  BLOB
) STRICT, WITHOUT ROWID;
