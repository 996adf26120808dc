package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	addLog = `
		INSERT INTO durable.log (execution, path, attempt, n, at, level, text, attrs) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT DO NOTHING`
	readLogs = `
		SELECT path, attempt, n, at, level, text, attrs FROM durable.log
		WHERE execution = $1 AND at >= coalesce($2, '-infinity'::timestamptz)
		ORDER BY at, path, attempt, n`
)

func (t *tx) log(id store.ID, l *store.Log) {
	t.exec(addLog, [16]byte(id), l.Path, l.Attempt, l.N, stamp(l.At), l.Level, printable(l.Text), l.Attrs)
}

// printable replaces what the database does not take as text: what a program
// happens to log must not make the database refuse its run's writes.
func printable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Logs implements store.Store.
func (s *Store) Logs(ctx context.Context, id store.ID, since time.Time) (logs []store.Log, err error) {
	err = s.view(ctx, "logs", func(q pgx.Tx) error {
		rows, err := q.Query(ctx, s.schema.of(readLogs), [16]byte(id), timeOrNull(since))
		if err != nil {
			return err
		}
		return each(rows, func(r pgx.CollectableRow) error {
			var l store.Log
			err := r.Scan(&l.Path, &l.Attempt, &l.N, (*instant)(&l.At), &l.Level, &l.Text, &l.Attrs)
			logs = append(logs, l)
			return err
		})
	})
	return logs, err
}
