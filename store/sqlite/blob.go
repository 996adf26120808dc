package sqlite

import (
	"context"
	"fmt"

	"github.com/durable-go/durable/store"
)

// Blob implements store.Store.
func (s *Store) Blob(ctx context.Context, id store.ID, hash string) (body []byte, err error) {
	err = s.view(ctx, "blob", func(c *conn) error {
		found, err := c.one("SELECT body FROM blob WHERE execution = (SELECT n FROM execution WHERE id = ?) AND hash = ?",
			func(r row) { body = r.bytes(0) }, id, hash)
		if err == nil && !found {
			err = fmt.Errorf("blob %.64q of execution %s: %w", hash, id, store.ErrNotFound)
		}
		return err
	})
	return body, err
}
