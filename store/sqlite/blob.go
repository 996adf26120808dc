package sqlite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/durable-go/durable/store"
)

const (
	findBody  = "SELECT n FROM body WHERE hash = ?"
	addBody   = "INSERT INTO body (hash, content) VALUES (?, ?)"
	addPiece  = "INSERT INTO piece (n, content) VALUES (?, ?)"
	addName   = "INSERT INTO named (execution, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
	dropNames = "DELETE FROM named WHERE execution = ?"
	readBody  = `
		SELECT n, content FROM body WHERE hash = ?2
			AND EXISTS (SELECT 1 FROM named WHERE execution = (SELECT n FROM execution WHERE id = ?1) AND body = body.n)`
	listNames = `
		SELECT hash FROM body WHERE n IN (SELECT body FROM named WHERE execution = (SELECT n FROM execution WHERE id = ?)) ORDER BY hash`
	readPieces = "SELECT content FROM piece WHERE n BETWEEN ?1 * 16 + 1 AND ?1 * 16 + 15 ORDER BY n"
	// A name whose body is gone: no transaction of ours leaves one.
	lostBody = `
		SELECT 1 FROM named WHERE execution = (SELECT n FROM execution WHERE id = ?1)
			AND NOT EXISTS (SELECT 1 FROM body WHERE n = named.body) LIMIT 1`
	// Bodies that nobody has named but an execution.
	onlyNamed = `
		SELECT body FROM named WHERE execution = ?1
			AND NOT EXISTS (SELECT 1 FROM named other WHERE other.body = named.body AND other.execution <> ?1)`
	dropBody   = "DELETE FROM body WHERE n = ?"
	dropPieces = "DELETE FROM piece WHERE n BETWEEN ?1 * 16 + 1 AND ?1 * 16 + 15"
)

const (
	pieceSize = 630 // bytes: six to a page
	maxPieces = 15  // of a body, without what is in its own row

	// What a long row has in its own page at least, and in each further one. They are full but
	// for the last; so what would begin another is cut off.
	ownPage, furtherPage = 489, 4092
)

// cut cuts a body into what fits into its row and pieces such that pages are filled.
func cut(content []byte) (pieces [][]byte) {
	take := func(n int) {
		n = min(n, len(content))
		pieces, content = append(pieces, content[:n:n]), content[n:]
	}
	take(pieceSize)
	if full := (len(content) - ownPage) / furtherPage; full > 0 {
		take(ownPage + full*furtherPage)
	}
	for len(content) > 0 {
		take(pieceSize)
	}
	return pieces
}

// keep names a body for an execution. The body is written if it is not there.
func (t *tx) keep(x *head, content []byte) error {
	hash := sha256.Sum256(content)
	n := int64(0)
	found, err := t.one(findBody, func(r row) { n = r.int(0) }, hash[:])
	if err == nil && !found {
		n, err = t.add(hash[:], content)
	}
	if err == nil {
		_, err = t.exec(addName, x.n, n)
	}
	return err
}

func (t *tx) add(hash, content []byte) (n int64, err error) {
	if content == nil {
		content = []byte{} // nil would be NULL
	}
	pieces := cut(content)
	r, err := t.exec(addBody, hash, pieces[0])
	if err == nil {
		n, err = r.LastInsertId()
	}
	for k := 1; k < len(pieces) && err == nil; k++ {
		_, err = t.exec(addPiece, n*16+int64(k), pieces[k])
	}
	return n, err
}

// forget takes back what an execution has named, and removes bodies that nobody names any more.
func (t *tx) forget(execution int64) error {
	var alone []int64
	err := t.query(onlyNamed, func(r row) error {
		alone = append(alone, r.int(0))
		return nil
	}, execution)
	for _, n := range alone {
		for _, statement := range []string{dropBody, dropPieces} {
			if err == nil {
				_, err = t.exec(statement, n)
			}
		}
	}
	if err == nil {
		_, err = t.exec(dropNames, execution)
	}
	return err
}

// Blobs implements store.Store.
func (s *Store) Blobs(ctx context.Context, id store.ID) (list []string, err error) {
	err = s.view(ctx, "blobs", func(c *conn) error {
		if there, err := c.one("SELECT 1 FROM execution WHERE id = ?", func(row) {}, id); err != nil || !there {
			return cmp.Or(err, fmt.Errorf("blobs of execution %s: %w", id, store.ErrNotFound))
		}
		return c.query(listNames, func(r row) error {
			list = append(list, hex.EncodeToString(r.bytes(0)))
			return nil
		}, id)
	})
	return list, err
}

// Blob implements store.Store.
func (s *Store) Blob(ctx context.Context, id store.ID, hash string) (content []byte, err error) {
	err = s.view(ctx, "blob", func(c *conn) error {
		sum, bad := hex.DecodeString(hash)
		if bad != nil {
			return fmt.Errorf("blob %.64q of execution %s: %w", hash, id, store.ErrNotFound)
		}
		n := int64(0)
		found, err := c.one(readBody, func(r row) { n, content = r.int(0), r.bytes(1) }, id, sum)
		if err == nil && found {
			err = c.query(readPieces, func(r row) error {
				content = append(content, r.bytes(0)...)
				return nil
			}, n)
		}
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
