package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	readLogs = `
		SELECT path, attempt, n, at, level, text, attrs FROM durable.log
		WHERE execution = $1 AND at >= coalesce($2, '-infinity'::timestamptz)
			AND EXISTS (SELECT FROM durable.execution WHERE id = $1)
		ORDER BY at, path, attempt, n`
)

// printable replaces what the database does not take as text: what a program
// happens to log must not make the database refuse its run's writes.
func printable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Logs implements store.Store.
func (s *Store) Logs(ctx context.Context, id store.ID, since time.Time) (logs []store.Log, err error) {
	err = s.ask(ctx, "logs", readLogs, []any{[16]byte(id), timeOrNull(since)}, func(r pgx.CollectableRow) error {
		var l store.Log
		err := r.Scan(&l.Path, &l.Attempt, &l.N, (*instant)(&l.At), &l.Level, &l.Text, &l.Attrs)
		logs = append(logs, l)
		return err
	})
	return logs, err
}
