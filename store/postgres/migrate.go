package postgres

import (
	"context"
	"embed"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

//go:embed schema/*.sql
var files embed.FS

// migrations reads the embedded files: NNNN_name.sql, numbered from 1 without
// gaps. A released file is never changed; a change is a new file.
func migrations() ([]string, error) {
	names, err := fs.Glob(files, "schema/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(names))
	for i, name := range names {
		version, err := strconv.Atoi(name[len("schema/"):len("schema/0000")])
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", name, i+1)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list = append(list, string(text))
	}
	return list, nil
}

const makeMigration = `
	CREATE TABLE durable.migration (
		version    integer     PRIMARY KEY,
		applied_at timestamptz NOT NULL
	)`

// migrate brings the tables to our version, all steps in one transaction and
// one process at a time.
func (n schema) migrate(ctx context.Context, c *pgx.Conn) error {
	list, err := migrations()
	if err != nil {
		return err
	}
	// Usually there is nothing to do, and then nobody's lock is needed.
	if have, err := n.version(ctx, c, len(list)); err != nil || have == len(list) {
		return err
	}
	q, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return err
	}
	defer rollback(ctx, c)
	if _, err := q.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", n.lock("migrate")); err != nil {
		return err
	}
	have, err := n.version(ctx, c, len(list)) // another process may have been faster
	if err != nil {
		return err
	}
	if have == 0 {
		if err := n.found(ctx, q); err != nil {
			return err
		}
	}
	for i, text := range list[have:] {
		// Many statements at once: only the simple protocol takes them.
		if _, err := c.PgConn().Exec(ctx, n.of(text)).ReadAll(); err != nil {
			return fmt.Errorf("migration %d: %w", have+i+1, err)
		}
		if _, err := q.Exec(ctx, n.of("INSERT INTO durable.migration (version, applied_at) VALUES ($1, clock_timestamp())"), have+i+1); err != nil {
			return err
		}
		fail.Point(fail.MigrateScript)
	}
	fail.Point(fail.MigrateCommit)
	if err := q.Commit(ctx); err != nil {
		return err
	}
	fail.Point(fail.MigrateDone)
	return nil
}

// found makes the schema, or takes one that is there and empty.
func (n schema) found(ctx context.Context, q pgx.Tx) error {
	var exists bool
	var objects int
	if err := q.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
			(SELECT count(*) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1))`, string(n)).Scan(&exists, &objects); err != nil {
		return err
	}
	if objects > 0 {
		return fmt.Errorf("the schema %q belongs to another program (%d tables and indexes); choose another one: %w", string(n), objects, store.ErrNotDatabase)
	}
	if !exists { // asking with IF NOT EXISTS would need the right to make one even if it is there
		name := pgx.Identifier{string(n)}.Sanitize()
		if _, err := q.Exec(ctx, "CREATE SCHEMA "+name); err != nil { // lint:sql a name cannot be a parameter; it is quoted
			return err
		}
	}
	_, err := q.Exec(ctx, n.of(makeMigration))
	return err
}

// version is 0 if there are no tables. It refuses what a newer program made.
func (n schema) version(ctx context.Context, c *pgx.Conn, ours int) (have int, err error) {
	var there bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'migration')", string(n)).Scan(&there); err != nil || !there {
		return 0, err
	}
	if err := c.QueryRow(ctx, n.of("SELECT coalesce(max(version), 0) FROM durable.migration")).Scan(&have); err != nil {
		return 0, err
	}
	if have > ours {
		return 0, fmt.Errorf("its schema is version %d and this program knows versions up to %d; use the newer program, or restore a backup made before it ran: %w", have, ours, store.ErrNewer)
	}
	return have, nil
}

// lock is the number of an advisory lock for something in this schema. Two
// names with one number only wait for each other.
func (n schema) lock(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(n) + "\x00" + name))
	return int64(h.Sum64())
}
