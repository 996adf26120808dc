//go:build fail

package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/internal/pgtest"
)

// server is a PostgreSQL of this suite's own, made when the first test needs it.
var server struct {
	once    sync.Once
	cluster *pgtest.Cluster
	err     error
}

// stopServer is for the end of all tests.
func stopServer() error {
	if server.cluster == nil {
		return nil
	}
	return server.cluster.Close()
}

// fresh makes a world.
type fresh func(t *testing.T, seed uint64) *world

// onStores runs a test on a file and on a server.
func onStores(t *testing.T, test func(t *testing.T, fresh fresh)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, func(t *testing.T, seed uint64) *world { return newWorld(t, seed) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server.once.Do(func() {
			server.cluster, server.err = pgtest.New("max_connections=400", "deadlock_timeout=100ms")
		})
		if errors.Is(server.err, pgtest.ErrNone) {
			skip(t, "kills on PostgreSQL", server.err.Error())
		}
		if server.err != nil {
			t.Fatal(server.err)
		}
		test(t, newServerWorld)
	})
}

// newServerWorld is a world whose database is a schema on the server.
func newServerWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := newWorld(t, seed)
	w.schema = fmt.Sprintf("crash_%016x", rand.Uint64()) // worlds may have one seed
	ctx := context.Background()
	c, err := pgx.Connect(ctx, w.db())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	in := users(w.schema)
	if _, err := c.Exec(ctx, "CREATE SCHEMA "+in+"; CREATE TABLE "+in+".booked (run text NOT NULL, path text NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return w
}

// users is the schema of users' tables, apart from the store's.
func users(schema string) string {
	if schema == "" {
		return ""
	}
	return schema + "_users"
}

// userRows counts what steps have written in their transactions.
func (j *judge) userRows() (counts map[string]int, err error) {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, j.w.db())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	rows, err := c.Query(ctx, "SELECT run || ' ' || path, count(*) FROM "+users(j.w.schema)+".booked GROUP BY 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts = map[string]int{}
	for rows.Next() {
		var what string
		var n int
		if err := rows.Scan(&what, &n); err != nil {
			return nil, err
		}
		counts[what] = n
	}
	return counts, rows.Err()
}

// tables checks what only SQL can see, as file does for SQLite.
func (j *judge) tables() (err error) {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, j.w.db())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	counts := map[string]string{
		"runs with an owner that has no lease":      "SELECT count(*) FROM durable.execution WHERE owner IS NOT NULL AND owner NOT IN (SELECT who FROM durable.lease)",
		"runs that wait and have no open wait":      "SELECT count(*) FROM durable.execution WHERE status = 'waiting' AND id NOT IN (SELECT execution FROM durable.wait)",
		"runs whose count of waits is wrong":        "SELECT count(*) FROM durable.execution e WHERE waits <> (SELECT count(*) FROM durable.wait WHERE execution = e.id)",
		"rows of a journal that is not dense":       "SELECT count(*) FROM (SELECT 1 FROM durable.journal GROUP BY execution HAVING min(seq) <> 1 OR max(seq) <> count(*)) AS gaps",
		"rows of a journal without an execution":    "SELECT count(*) FROM durable.journal WHERE execution NOT IN (SELECT id FROM durable.execution)",
		"rows written after an older epoch's":       "SELECT count(*) FROM durable.journal a JOIN durable.journal b ON a.execution = b.execution AND a.seq + 1 = b.seq WHERE a.epoch > b.epoch",
		"rows with an epoch that is yet to come":    "SELECT count(*) FROM durable.journal j JOIN durable.execution e ON e.id = j.execution WHERE j.epoch > e.epoch",
		"messages or waits without an execution":    "SELECT (SELECT count(*) FROM durable.message WHERE execution NOT IN (SELECT id FROM durable.execution)) + (SELECT count(*) FROM durable.wait WHERE execution NOT IN (SELECT id FROM durable.execution))",
		"messages that were never counted":          "SELECT count(*) FROM durable.message m JOIN durable.execution e ON e.id = m.execution WHERE m.seq > e.inbox",
		"snapshots that are ahead of their journal": "SELECT count(*) FROM durable.snapshot s WHERE seq > (SELECT max(seq) FROM durable.journal WHERE execution = s.execution)",
	}
	for what, query := range counts {
		var n int
		if err := c.QueryRow(ctx, strings.ReplaceAll(query, "durable.", j.w.schema+".")).Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n > 0 {
			j.fault("%d %s", n, what)
		}
	}
	return nil
}
