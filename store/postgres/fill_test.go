package postgres

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What a large database holds beside the few executions that are alive.
const (
	fillFinished = `
		INSERT INTO durable.execution (id, workflow, version, queue, key, priority, tags, status, epoch, created, changed, ended, input_hash, error_code)
		SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 3600000 + i), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0') || '8' || lpad(to_hex(i), 15, '0'))::uuid,
			CASE i % 10 WHEN 0 THEN 'other' ELSE 'flow' END, 'v1', 'default', CASE i % 10 WHEN 1 THEN 'key ' || i END, i % 4,
			CASE i % 10 WHEN 2 THEN ARRAY['tag ' || i % 1000] ELSE '{}' END,
			CASE i % 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'completed' END, 1,
			now() - interval '1 hour' + i * interval '1 millisecond', now() - interval '1 hour' + i * interval '1 millisecond', now() - interval '1 hour' + i * interval '1 millisecond', '\x00',
			CASE i % 100 WHEN 0 THEN 'error' WHEN 1 THEN 'cancelled' ELSE '' END
		FROM generate_series(1, $1::bigint) AS i`
	fillAsleep = `
		INSERT INTO durable.execution (id, workflow, version, queue, priority, tags, status, due, epoch, waits, created, changed)
		SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 3600000 + i), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0') || '8' || lpad(to_hex(i), 15, '0'))::uuid,
			'flow', 'v1', 'default', i % 4, '{}', 'waiting', now() + interval '1 day' + i * interval '1 millisecond', 1, 1,
			now() - interval '1 hour' + i * interval '1 millisecond', now() - interval '1 hour' + i * interval '1 millisecond'
		FROM generate_series($1::bigint + 1, 2 * $1) AS i`
	fillJournal = `
		INSERT INTO durable.journal (execution, seq, epoch, at, body)
		SELECT e.id, seq, seq - 1, e.created, '\x000102030405060708090a0b0c0d0e0f'
		FROM durable.execution e CROSS JOIN generate_series(1, 2) AS seq WHERE e.status <> 'waiting' OR seq = 1`
	fillWaits = `
		INSERT INTO durable.wait (id, execution, path, call, kind, name, topic, deadline, opened, shared)
		SELECT 'w_' || e.id, e.id, 'step', '1', 'sleep', '', CASE WHEN e.priority % 2 = 0 THEN '' ELSE 'of ' || e.id END, e.due, e.created, e.priority % 2 = 1
		FROM durable.execution e WHERE e.status = 'waiting'`
	// Kept for others, or long given; some are for the topic that is asked for, too, and out of date.
	fillPublished = `
		INSERT INTO durable.publication (topic, dedupe, until, got)
		SELECT 'to ' || i % ($1::bigint / 2), i, now() + interval '1 day', i / ($1 / 2) FROM generate_series(0, $1 - 1) AS i`
	// Of other counters; some are over.
	fillDraws = `
		INSERT INTO durable.draw (run, counter, id, amount, until, span, settled)
		SELECT '00000000-0000-0000-0000-000000000000', 'counter ' || i % ($1::bigint / 100), 'd' || i, 1,
			((extract(epoch FROM now()) + CASE i % 1000 WHEN 0 THEN -60 ELSE 86400 END) * 1000000)::bigint, 86400000000, i % 3 > 0
		FROM generate_series(0, $1 - 1) AS i`
	// What other code may go on with, and rows beside the executions that sleep.
	fillBlocked = `
		INSERT INTO durable.execution (id, workflow, version, queue, priority, tags, status, blocked, error_code, epoch, created, changed)
		SELECT gen_random_uuid(), 'flow', 'v1', 'default', i % 4, '{}', 'blocked', 'now', 'blocked', 1, now(), now() FROM generate_series(1, $1::bigint / 50) AS i`
	fillBeside = `
		WITH few AS (SELECT id FROM durable.execution WHERE status = 'waiting' LIMIT $1::bigint / 50),
		held AS (INSERT INTO durable.hold (name, execution, amount, until) SELECT 'large', id, 1, 'infinity' FROM few),
		told AS (INSERT INTO durable.message (execution, seq, topic, wait, at, payload) SELECT id, 1, 'x', '', now(), '' FROM few),
		used AS (INSERT INTO durable.accepted (execution, dedupe) SELECT id, 'x' FROM few),
		said AS (INSERT INTO durable.log (execution, path, attempt, n, at, level, text) SELECT id, 'p', 1, 1, now(), 0, 'x' FROM few)
		INSERT INTO durable.snapshot (execution, seq, body) SELECT id, 1, '' FROM few`
	allTables  = `SELECT relname::text, '' FROM pg_class WHERE relnamespace = quote_ident($1)::regnamespace AND relkind = 'r' AND relname ~ '^(execution$|wait$|journal_)'`
	allIndexes = `SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename IN ('execution', 'wait') AND indexname NOT LIKE '%_pkey'`
)

// size is how many executions have finished, and how many sleep: a million in
// CI, or with DURABLE_TEST_LARGE set; else fewer, which take three seconds.
func size() int {
	if os.Getenv("CI") == "true" || os.Getenv("DURABLE_TEST_LARGE") != "" {
		return 1_000_000
	}
	return 50_000
}

// fill writes by SQL, without indexes and WAL, which come after it.
func (n schema) fill(t *testing.T, url string, size int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := c.Exec(t.Context(), n.of(statement), args...); err != nil {
			t.Fatalf("%v: %s", err, statement)
		}
	}
	list := func(statement string) (names, texts []string) {
		t.Helper()
		rows, err := c.Query(t.Context(), statement, string(n))
		if err == nil {
			err = each(rows, func(r pgx.CollectableRow) error {
				var name, text string
				err := r.Scan(&name, &text)
				names, texts = append(names, pgx.Identifier{string(n), name}.Sanitize()), append(texts, text)
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		return names, texts
	}
	tables, _ := list(allTables)
	for _, table := range tables {
		exec("ALTER TABLE " + table + " SET UNLOGGED")
	}
	indexes, definitions := list(allIndexes)
	for _, index := range indexes {
		exec("DROP INDEX " + index)
	}
	for _, q := range []string{fillFinished, fillAsleep, fillBlocked, fillBeside, fillPublished, fillDraws} {
		exec(q, size)
	}
	exec(fillJournal)
	exec(fillWaits)
	for _, definition := range definitions {
		exec(definition)
	}
}
