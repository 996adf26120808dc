package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/durable-go/durable/store"
)

const (
	findBody = "SELECT n FROM body WHERE hash = ?"
	addBody  = "INSERT INTO body (hash, content) VALUES (?, ?)"
	addName  = "INSERT INTO named (execution, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
	readBody = `
		SELECT content FROM body WHERE hash = ?2
			AND EXISTS (SELECT 1 FROM named WHERE execution = (SELECT n FROM execution WHERE id = ?1) AND body = body.n)`
	// A name whose body is gone: no transaction of ours leaves one.
	lostBody = `
		SELECT 1 FROM named WHERE execution = (SELECT n FROM execution WHERE id = ?1)
			AND NOT EXISTS (SELECT 1 FROM body WHERE n = named.body) LIMIT 1`
	// Bodies that nobody has named but an execution.
	dropBodies = `
		DELETE FROM body WHERE n IN (SELECT body FROM named WHERE execution = ?1)
			AND NOT EXISTS (SELECT 1 FROM named other WHERE other.body = body.n AND other.execution <> ?1)`
)

// keep names a body for an execution. The body is written if it is not there.
func (t *tx) keep(x *head, content []byte) error {
	hash := sha256.Sum256(content)
	n := int64(0)
	found, err := t.one(findBody, func(r row) { n = r.int(0) }, hash[:])
	if err == nil && !found {
		if content == nil {
			content = []byte{} // nil would be NULL
		}
		n, err = t.add(hash[:], content)
	}
	if err == nil {
		_, err = t.exec(addName, x.n, n)
	}
	return err
}

func (t *tx) add(hash, content []byte) (n int64, err error) {
	r, err := t.exec(addBody, hash, content)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// Blob implements store.Store.
func (s *Store) Blob(ctx context.Context, id store.ID, hash string) (content []byte, err error) {
	err = s.view(ctx, "blob", func(c *conn) error {
		sum, bad := hex.DecodeString(hash)
		if bad != nil {
			return fmt.Errorf("blob %.64q of execution %s: %w", hash, id, store.ErrNotFound)
		}
		found, err := c.one(readBody, func(r row) { content = r.bytes(0) }, id, sum)
		if err != nil || found {
			return err
		}
		lost, err := c.one(lostBody, func(row) {}, id)
		switch {
		case err != nil:
			return err
		case lost:
			return fmt.Errorf("blob %.64q of execution %s, which has named blobs that are gone: %w; restore a backup", hash, id, store.ErrLost)
		}
		return fmt.Errorf("blob %.64q of execution %s: %w", hash, id, store.ErrNotFound)
	})
	return content, err
}
