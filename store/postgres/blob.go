package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const readBlob = `SELECT body FROM durable.blob WHERE execution = $1 AND hash = $2 AND EXISTS (SELECT FROM durable.execution WHERE id = $1)`

// Blob implements store.Store.
func (s *Store) Blob(ctx context.Context, id store.ID, hash string) (body []byte, err error) {
	there := false
	err = s.ask(ctx, "blob", readBlob, []any{[16]byte(id), hash}, func(r pgx.CollectableRow) error {
		there = true
		return r.Scan(&body)
	})
	if err == nil && !there {
		err = explain("blob", fmt.Errorf("blob %.64q of execution %s: %w", hash, id, store.ErrNotFound))
	}
	return body, err
}
