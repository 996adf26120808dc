package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/durable-go/durable/store"
)

// Executions whose ids lie in one range share bodies. A name (blob) and its body are written by one
// statement, and lie in partitions of one range: these go together, when no execution of the
// range is left, and nothing need be counted.
//
// In a range that still lives a body goes when nobody names it any more. Who names bodies has a lock
// shared until its transaction ends, and who removes bodies has it alone: then there is no name that
// it does not see, and none comes before it is done. It holds nothing else, so nobody
// waits in a circle. Those who name the same new bodies wait for each other, in the order of hashes.

const (
	// Up to here a body is kept with each name: sharing costs about as much.
	sharedFrom = 512 // bytes

	addSmall = `
		INSERT INTO durable.blob (execution, hash, body)
		SELECT w.execution, w.hash, w.content
		FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::integer[], $5::bigint[]) AS w (execution, hash, content, seq, epoch)
		WHERE` + landed + `
		ON CONFLICT DO NOTHING`
	// The range is looked up twice in one snapshot, so it is the same for name and body. Rows are
	// written in the order of the arrays: by hash, then by id, which is also the order of ranges.
	addShared = `
		WITH bodies AS (
			INSERT INTO durable.body (part, hash, content)
			SELECT coalesce((SELECT p.first FROM durable.part p WHERE p.first <= w.execution AND p.until > w.execution LIMIT 1), w.execution), w.hash, w.content
			FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::integer[], $5::bigint[]) AS w (execution, hash, content, seq, epoch)
			WHERE` + landed + `
			ON CONFLICT DO NOTHING
		)
		INSERT INTO durable.blob (execution, hash, part)
		SELECT w.execution, w.hash, coalesce((SELECT p.first FROM durable.part p WHERE p.first <= w.execution AND p.until > w.execution LIMIT 1), w.execution)
		FROM unnest($1::uuid[], $2::text[], $4::integer[], $5::bigint[]) AS w (execution, hash, seq, epoch)
		WHERE` + landed + `
		ON CONFLICT DO NOTHING`
	// A quick statement may have left a write without a verdict: then it has written no row in this
	// transaction. One that is there may be another write's, which has the same place and epoch. The
	// LIMIT pins the plan: with EXISTS, all rows between the ids may be read and hashed.
	landed = ` w.seq = 0 OR (
			SELECT j.epoch = w.epoch AND j.xmin = pg_current_xact_id_if_assigned()::xid FROM durable.journal j
			WHERE j.execution = w.execution AND j.execution BETWEEN $6 AND $7 AND j.seq = w.seq LIMIT 1)`
	shareBodies = `SELECT pg_advisory_xact_lock_shared($1)`
	waitLong    = `SET LOCAL lock_timeout = 0` // a family's patience is over

	listBlobs = `
		SELECT r.hash FROM durable.execution e LEFT JOIN durable.blob r ON r.execution = e.id
		WHERE e.id = $1 ORDER BY r.hash`
	readBlob = `
		SELECT coalesce(r.body, b.content), r.part IS NOT NULL AND b.content IS NULL
		FROM durable.blob r LEFT JOIN durable.body b ON b.part = r.part AND b.hash = r.hash
		WHERE r.execution = $1 AND r.hash = $2 AND EXISTS (SELECT FROM durable.execution WHERE id = $1)`
)

// Blob implements store.Store.
func (s *Store) Blob(ctx context.Context, id store.ID, hash string) (body []byte, err error) {
	there, lost := false, false
	err = s.ask(ctx, "blob", readBlob, []any{[16]byte(id), hash}, func(r pgx.CollectableRow) error {
		there = true
		return r.Scan(&body, &lost)
	})
	switch {
	case err == nil && !there:
		err = explain("blob", fmt.Errorf("blob %.64q of execution %s: %w", hash, id, store.ErrNotFound))
	case err == nil && lost:
		err = explain("blob", fmt.Errorf("blob %.64q of execution %s was named and is gone: %w; restore a backup", hash, id, store.ErrLost))
	}
	return body, err
}

// Blobs implements store.Store.
func (s *Store) Blobs(ctx context.Context, id store.ID) (list []string, err error) {
	there := false
	err = s.ask(ctx, "blobs", listBlobs, []any{[16]byte(id)}, func(r pgx.CollectableRow) error {
		var hash *string
		err := r.Scan(&hash)
		if there = true; hash != nil {
			list = append(list, *hash)
		}
		return err
	})
	if err == nil && !there {
		err = explain("blobs", fmt.Errorf("blobs of execution %s: %w", id, store.ErrNotFound))
	}
	return list, err
}

// blobDraft is a blob that an execution names.
type blobDraft struct {
	id   store.ID
	hash string
	body []byte

	// The row with which it is written, if that may not be: its number and epoch.
	seq   int32
	epoch int64
}

func newBlobDraft(id store.ID, body []byte) blobDraft {
	sum := sha256.Sum256(body)
	if body == nil {
		body = []byte{}
	}
	return blobDraft{id: id, hash: hex.EncodeToString(sum[:]), body: body}
}

// finish notes what a transaction writes at its end. Bodies are last: from then on it
// waits for nothing but those who name the same ones.
func (t *tx) finish() {
	t.draft.queue(t)
	if len(t.draft.blobs) > 0 && t.patience == waits {
		t.exec(waitLong)
	}
	t.s.schema.queueBlobs(&t.later, t.draft.blobs)
	t.draft.blobs = nil
}

// queueBlobs adds the statements that keep blobs.
func (n schema) queueBlobs(b *pgx.Batch, blobs []blobDraft) {
	slices.SortFunc(blobs, func(a, b blobDraft) int {
		if c := strings.Compare(a.hash, b.hash); c != 0 {
			return c
		}
		return compareIDs(a.id, b.id)
	})
	var small, large []blobDraft
	for _, d := range blobs {
		if len(d.body) < sharedFrom {
			small = append(small, d)
		} else {
			large = append(large, d)
		}
	}
	if len(small) > 0 {
		b.Queue(n.of(addSmall), blobColumns(small)...)
	}
	if len(large) > 0 {
		b.Queue(n.of(shareBodies), n.lock("bodies"))
		b.Queue(n.of(addShared), blobColumns(large)...)
	}
}

func blobColumns(of []blobDraft) []any {
	id, hash, body := make(ids, len(of)), make([]string, len(of)), make([][]byte, len(of))
	seq, epoch := make([]int32, len(of)), make([]int64, len(of))
	var looked ids // whose rows are looked up: none are, if they are written for certain
	for i, b := range of {
		if id[i], hash[i], body[i], seq[i], epoch[i] = b.id, b.hash, b.body, b.seq, b.epoch; b.seq > 0 {
			looked = append(looked, b.id)
		}
	}
	first, last := looked.span()
	return []any{[][16]byte(id), hash, body, seq, epoch, first, last}
}

const (
	// What goes in one transaction, while those who name bodies wait for it.
	looseBatch = 1000
	looseBytes = 16 << 20 // of bodies, or one more

	// How long they may have to wait behind who waits for them.
	waitForNames = `SET LOCAL lock_timeout = '50ms'`
	lockBodies   = `SELECT pg_advisory_xact_lock($1)`
	anyLoose     = `SELECT EXISTS (SELECT FROM durable.loose)`
	// Bodies of a range are named by ids of it only. That is said so that no other partition is looked into.
	dropLoose = `
		WITH taken AS MATERIALIZED (SELECT ctid AS at, part, hash FROM durable.loose LIMIT $1),
		sized AS MATERIALIZED (
			SELECT s.part, s.hash, coalesce(octet_length(b.content), 0)::bigint AS size
			FROM (SELECT DISTINCT part, hash FROM taken) s LEFT JOIN durable.body b ON b.part = s.part AND b.hash = s.hash
		),
		summed AS (SELECT part, hash, sum(size) OVER (ORDER BY part, hash) - size AS before FROM sized),
		each AS MATERIALIZED (
			SELECT s.part, s.hash, coalesce((SELECT p.until FROM durable.part p WHERE p.first = s.part), s.part) AS until
			FROM summed s WHERE s.before < $2
		),
		gone AS (
			DELETE FROM durable.body b USING each
			WHERE b.part = each.part AND b.hash = each.hash AND (
				SELECT TRUE FROM durable.blob r
				WHERE r.hash = each.hash AND r.part = each.part AND r.execution BETWEEN each.part AND each.until LIMIT 1) IS NULL
		),
		done AS (
			DELETE FROM durable.loose l USING taken JOIN each ON each.part = taken.part AND each.hash = taken.hash WHERE l.ctid = taken.at RETURNING 1
		)
		SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM done)`
)

// dropBodies removes bodies that nobody names any more. If those who name some are in the way for
// too long, it is left to the next time.
func (s *Store) dropBodies(ctx context.Context) error {
	some := false // often there are none, and then nobody's lock is needed
	if err := s.ask(ctx, "look for bodies", anyLoose, nil, func(r pgx.CollectableRow) error { return r.Scan(&some) }); err != nil || !some {
		return err
	}
	for {
		var found, done int
		err := s.attempt(ctx, s.read, func(ctx context.Context, t *tx) error {
			t.exec(waitForNames)
			t.exec(lockBodies, s.schema.lock("bodies"))
			// Its snapshot is taken when the lock is there.
			_, err := t.one(ctx, dropLoose, []any{looseBatch, looseBytes}, &found, &done)
			return err
		})
		var e *pgconn.PgError
		if errors.As(err, &e) && e.Code == "55P03" { // lock_not_available
			return nil
		}
		if err != nil || done == found && found < looseBatch {
			return err
		}
	}
}
