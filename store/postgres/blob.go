package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const readBlob = `SELECT body FROM durable.blob WHERE execution = $1 AND hash = $2`

// Blob implements store.Store.
func (s *Store) Blob(ctx context.Context, id store.ID, hash string) (body []byte, err error) {
	err = s.view(ctx, "blob", func(q pgx.Tx) error {
		there, err := found(q.QueryRow(ctx, s.schema.of(readBlob), [16]byte(id), hash).Scan(&body))
		if err == nil && !there {
			err = fmt.Errorf("blob %.64q of execution %s: %w", hash, id, store.ErrNotFound)
		}
		return err
	})
	return body, err
}
