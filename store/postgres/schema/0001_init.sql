-- The tables of one durable database, in a schema of their own.
--
-- execution   One header row per execution: what it is, where it stands, whose
--             it is. Written when an execution begins, is claimed, parked or
--             ended, and when a message arrives; never per step.
-- journal     One row per write of an owner, opaque bytes, append-only. Its
--             primary key is the guard against two writes on one base. An
--             execution's length is its highest seq.
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
-- lease       One row per living worker incarnation, and per dead one until it
--             is expired. Its lock is the fence of all that the worker owns:
--             who writes as the owner holds it shared, who takes an execution
--             away holds it exclusively. So every owner has a row here.
-- part        Ranges of ids whose rows of journal, snapshot, log and blob lie in
--             partitions of their own. Retention drops them whole.
-- migration   Which of these files have been applied, and when.
--
-- What a run leaves behind is in four tables that are partitioned by the id,
-- which begins with the time at which it was made: rows that are removed at about
-- the same time lie together, and a partition whose executions are all gone is
-- dropped without a row being deleted. The store makes partitions ahead of time (see
-- part.go); an id in no range has its rows in the default ones. The header rows
-- stay in one table: lists, keys and claims look for them by other things than age.
--
-- An absent time, and an absent owner, is NULL; a wait without a deadline has
-- 'infinity', so that it sorts last. No default looks at a clock: the store
-- says what time it is. Text sorts by bytes, as it does in other stores. There
-- are no foreign keys: they would lock the execution's row for every step.
--
-- The name "durable." before a table stands for whatever schema was chosen.

CREATE TABLE durable.execution (
  id           uuid        PRIMARY KEY,
  workflow     text        COLLATE "C" NOT NULL,
  version      text        COLLATE "C" NOT NULL,
  queue        text        COLLATE "C" NOT NULL,
  key          text        COLLATE "C",
  priority     integer     NOT NULL,
  tags         text[]      COLLATE "C" NOT NULL,
  status       text        COLLATE "C" NOT NULL,
  due          timestamptz,
  owner        uuid,
  epoch        bigint      NOT NULL,
  inbox        bigint      NOT NULL DEFAULT 0,
  waits        bigint      NOT NULL DEFAULT 0 CHECK (waits >= 0),
  stalls       integer     NOT NULL DEFAULT 0,
  stall_length integer     NOT NULL DEFAULT 0,
  created      timestamptz NOT NULL,
  changed      timestamptz NOT NULL,
  ended        timestamptz,
  input_hash   bytea,
  blocked      text        COLLATE "C" NOT NULL DEFAULT '',
  error_code   text        COLLATE "C" NOT NULL DEFAULT '',
  error        bytea,
  -- All rows that may be.
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
)
-- A message, or a wait that opens, changes no column that an index has: with free space in
-- the page the new row stays there (HOT). A claim and an end are new index entries all the
-- same. Vacuum at 2 % and not 20 %, so that the index of what is due, which every claim reads,
-- has few dead entries however many have ended.
WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.05);

CREATE UNIQUE INDEX execution_key ON durable.execution (workflow, key) WHERE key IS NOT NULL;
-- What may be claimed, now or later. Who is owned has no due time.
CREATE INDEX execution_due ON durable.execution (queue, priority DESC, due, id) WHERE due IS NOT NULL;
CREATE INDEX execution_blocked ON durable.execution (queue, workflow, version, blocked, priority DESC, id) WHERE status = 'blocked';
CREATE INDEX execution_owner ON durable.execution (owner) WHERE owner IS NOT NULL;
CREATE INDEX execution_status ON durable.execution (status, id) WHERE status <> 'completed';
CREATE INDEX execution_workflow ON durable.execution (workflow, id);
-- What may be pruned, oldest end first. What is open or kept for ever is never looked at.
CREATE INDEX execution_ended ON durable.execution (workflow, version, status, ended) WHERE ended IS NOT NULL;

CREATE TABLE durable.journal (
  execution uuid        NOT NULL,
  seq       integer     NOT NULL,
  epoch     bigint      NOT NULL,
  at        timestamptz NOT NULL,
  body      bytea       NOT NULL,
  CONSTRAINT journal_pkey PRIMARY KEY (execution, seq)
) PARTITION BY RANGE (execution);

CREATE TABLE durable.journal_default PARTITION OF durable.journal DEFAULT;

CREATE TABLE durable.snapshot (
  execution uuid    PRIMARY KEY,
  seq       integer NOT NULL,
  body      bytea   NOT NULL
) PARTITION BY RANGE (execution);

CREATE TABLE durable.snapshot_default PARTITION OF durable.snapshot DEFAULT;

-- A queue: what comes goes, and every delivery counts what is there. At the usual 20 % it
-- would carry too many dead rows.
CREATE TABLE durable.message (
  execution uuid        NOT NULL,
  seq       bigint      NOT NULL,
  topic     text        COLLATE "C" NOT NULL,
  wait      text        COLLATE "C" NOT NULL,
  at        timestamptz NOT NULL,
  payload   bytea,
  PRIMARY KEY (execution, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE TABLE durable.accepted (
  execution uuid NOT NULL,
  dedupe    text COLLATE "C" NOT NULL,
  PRIMARY KEY (execution, dedupe)
);

-- Rows that live for a while, in a table that should be as large as what waits now.
CREATE TABLE durable.wait (
  id        text        COLLATE "C" PRIMARY KEY,
  execution uuid        NOT NULL,
  path      text        COLLATE "C" NOT NULL,
  call      text        COLLATE "C" NOT NULL,
  kind      text        COLLATE "C" NOT NULL,
  name      text        COLLATE "C" NOT NULL,
  topic     text        COLLATE "C" NOT NULL,
  deadline  timestamptz NOT NULL,
  opened    timestamptz NOT NULL,
  detail    bytea
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE INDEX wait_execution ON durable.wait (execution, topic);
CREATE INDEX wait_kind ON durable.wait (kind, deadline, opened, id);

-- Few rows that change all the time.
CREATE TABLE durable.hold (
  name      text        COLLATE "C" NOT NULL,
  execution uuid        NOT NULL,
  amount    bigint      NOT NULL,
  until     timestamptz NOT NULL,
  PRIMARY KEY (name, execution)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE INDEX hold_execution ON durable.hold (execution);

CREATE TABLE durable.token (
  name   text        COLLATE "C" NOT NULL,
  until  timestamptz NOT NULL,
  amount bigint      NOT NULL,
  PRIMARY KEY (name, until)
);

CREATE TABLE durable.pause (
  queue text        COLLATE "C" PRIMARY KEY,
  since timestamptz NOT NULL,
  who   text        COLLATE "C" NOT NULL
);

CREATE TABLE durable.log (
  execution uuid        NOT NULL,
  path      text        COLLATE "C" NOT NULL,
  attempt   integer     NOT NULL,
  n         integer     NOT NULL,
  at        timestamptz NOT NULL,
  level     integer     NOT NULL,
  text      text        COLLATE "C" NOT NULL,
  attrs     bytea,
  PRIMARY KEY (execution, path, attempt, n)
) PARTITION BY RANGE (execution);

CREATE TABLE durable.log_default PARTITION OF durable.log DEFAULT;

CREATE TABLE durable.blob (
  execution uuid  NOT NULL,
  hash      text  COLLATE "C" NOT NULL,
  body      bytea NOT NULL,
  PRIMARY KEY (execution, hash)
) PARTITION BY RANGE (execution);

CREATE TABLE durable.blob_default PARTITION OF durable.blob DEFAULT;

-- Renewed every few seconds, read by every batch. expires has no index, and each page has free space: so
-- a renewal stays in its page and out of the index (HOT), and who reads the page next clears away
-- the old one. A vacuum sees to what is left, by count and not by share: the table is tiny.
CREATE TABLE durable.lease (
  who     uuid        PRIMARY KEY,
  name    text        COLLATE "C" NOT NULL,
  expires timestamptz NOT NULL,
  report  bytea
) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Ids from first to before until. orphans is since when rows of removed executions
-- may lie in these partitions, which then wait for a drop or a sweep.
CREATE TABLE durable.part (
  first   uuid        PRIMARY KEY,
  until   uuid        NOT NULL,
  name    text        COLLATE "C" NOT NULL UNIQUE, -- of the partitions, after "journal_" and so on
  orphans timestamptz
);
