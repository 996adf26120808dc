package sqlite

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

//go:embed schema/*.sql
var schema embed.FS

// migration is one numbered step of the schema.
type migration struct {
	version int
	text    string
}

// migrations reads the embedded files: NNNN_name.sql, numbered from 1 without
// gaps. A released file is never changed; a change is a new file.
func migrations() ([]migration, error) {
	names, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	list := make([]migration, 0, len(names))
	for i, name := range names { // sorted
		version, err := strconv.Atoi(name[len("schema/"):len("schema/0000")])
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", name, i+1)
		}
		text, err := schema.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list = append(list, migration{version, string(text)})
	}
	return list, nil
}

// recognise refuses files that are not ours. An empty database may become ours. Another process may make it so at this
// moment: who sees its tables sees the id afterwards.
func recognise(c *conn) error {
	var id, objects int64
	if _, err := c.one("SELECT count(*) FROM sqlite_schema", func(r row) { objects = r.int(0) }); err != nil {
		return notOurs(err)
	}
	if _, err := c.one("PRAGMA application_id", func(r row) { id = r.int(0) }); err != nil {
		return notOurs(err)
	}
	if id == applicationID || (id == 0 && objects == 0) {
		return nil
	}
	return fmt.Errorf("it belongs to another program (application id %#x, %d tables and indexes); choose another path: %w", id, objects, store.ErrNotDatabase)
}

// notOurs says what to do about a file that SQLite cannot read.
func notOurs(err error) error {
	if kind(err) == store.ErrNotDatabase {
		return fmt.Errorf("it is not a SQLite file, or it is encrypted or damaged; choose another path or restore a backup: %w: %w", store.ErrNotDatabase, err)
	}
	return err
}

// migrate brings the schema to our version, all steps in one transaction.
func migrate(c *conn) error {
	list, err := migrations()
	if err != nil {
		return err
	}
	// Usually there is nothing to do, and then nobody's lock is needed.
	if have, err := schemaVersion(c); err != nil || have == len(list) {
		return err
	}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := upgrade(c, list); err != nil {
		_, _ = c.exec("ROLLBACK")
		return err
	}
	fail.Point(fail.MigrateCommit)
	_, err = c.exec("COMMIT")
	fail.Point(fail.MigrateDone)
	return err
}

func upgrade(c *conn, list []migration) error {
	// Another process may have been faster, or may have made the file its own.
	if err := recognise(c); err != nil {
		return err
	}
	have, err := schemaVersion(c)
	if err != nil {
		return err
	}
	for _, m := range list[have:] {
		if err := c.script(m.text); err != nil {
			return fmt.Errorf("migration %d: %w", m.version, err)
		}
		fail.Point(fail.MigrateScript)
		if _, err := c.exec("INSERT INTO durable_schema (version, applied_at) VALUES (?, ?)", m.version, time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// schemaVersion is 0 for an empty database. It refuses what a newer program made.
func schemaVersion(c *conn) (int, error) {
	list, err := migrations()
	if err != nil {
		return 0, err
	}
	var tables, version int64
	if _, err := c.one("SELECT count(*) FROM sqlite_schema WHERE name = 'durable_schema'", func(r row) { tables = r.int(0) }); err != nil || tables == 0 {
		return 0, err
	}
	if _, err := c.one("SELECT max(version) FROM durable_schema", func(r row) { version = r.int(0) }); err != nil {
		return 0, err
	}
	if version > int64(len(list)) {
		return 0, fmt.Errorf("its schema is version %d and this program knows versions up to %d; use the newer program, or restore a backup made before it ran: %w", version, len(list), store.ErrNewer)
	}
	return int(version), nil
}
