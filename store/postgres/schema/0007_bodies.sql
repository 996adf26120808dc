-- A body that many executions name is kept once for each range of ids.
--
-- blob   Which blobs an execution has named: it reads these and no others. A small one has its
--        body here, and so have those that were kept before this migration; of a larger one
--        the body lies in body, under part and hash.
-- body   Contents of blobs, by part and hash. part is the first id of the range (table part)
--        of those that name it, so that it lies beside their rows and is dropped with them; for an id in
--        no range it is that id. A row is removed when nobody names it any more: by who has locked all
--        who name bodies out, see blob.go.
-- loose  Bodies that have lost a name, and may have no other.

ALTER TABLE durable.blob ADD COLUMN part uuid;
ALTER TABLE durable.blob ALTER COLUMN body DROP NOT NULL;
ALTER TABLE durable.blob ADD CONSTRAINT blob_somewhere CHECK ((part IS NULL) = (body IS NOT NULL));
CREATE INDEX blob_hash ON durable.blob (hash) WHERE part IS NOT NULL;

CREATE TABLE durable.body (
  part    uuid  NOT NULL,
  hash    text  COLLATE "C" NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (part, hash)
) PARTITION BY RANGE (part);

CREATE TABLE durable.body_default PARTITION OF durable.body DEFAULT;

-- The ranges that are there. The schema's name comes from the catalogue: it may have quotes in it.
DO $$
DECLARE
  p record;
BEGIN
  FOR p IN
    SELECT x.name, x.first, x.until, n.nspname AS home FROM durable.part x
    JOIN pg_catalog.pg_class c ON c.oid = x.tableoid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LOOP
    EXECUTE pg_catalog.format('CREATE TABLE %I.%I PARTITION OF %I.body FOR VALUES FROM (%L) TO (%L)', p.home, 'body_' || p.name, p.home, p.first, p.until);
  END LOOP;
END
$$;

-- What comes goes.
CREATE TABLE durable.loose (
  part uuid NOT NULL,
  hash text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
