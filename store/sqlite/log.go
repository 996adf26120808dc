package sqlite

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

func (t *tx) log(x *head, l *store.Log) error {
	_, err := t.exec("INSERT INTO log (execution, path, attempt, n, at, level, text, attrs) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		x.n, l.Path, l.Attempt, l.N, l.At.UnixMicro(), l.Level, l.Text, l.Attrs)
	return err
}

// Logs implements store.Store.
func (s *Store) Logs(ctx context.Context, id store.ID, since time.Time) (logs []store.Log, err error) {
	from := -forever
	if !since.IsZero() {
		from = micros(since)
	}
	err = s.view(ctx, "logs", func(c *conn) error {
		return c.query(`
			SELECT path, attempt, n, at, level, text, attrs FROM log
			WHERE execution = (SELECT n FROM execution WHERE id = ?) AND at >= ?
			ORDER BY at, path, attempt, n`,
			func(r row) error {
				logs = append(logs, store.Log{Path: r.text(0), Attempt: int(r.int(1)), N: int(r.int(2)), At: r.time(3), Level: int(r.int(4)), Text: r.text(5), Attrs: r.bytes(6)})
				return nil
			}, id, from)
	})
	return logs, err
}
