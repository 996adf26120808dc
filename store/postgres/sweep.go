package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What Prune leaves in the partitions of a range whose time is over goes with
// them when the last execution of the range is gone. If one lives on for long, a
// sweep removes what the others left, one width after the first of them was
// pruned: until then a drop may do it for nothing.

const (
	tendEvery   = time.Hour        // how often partitions are looked at, about
	tendAgain   = time.Minute      // if it failed
	tendTimeout = 10 * time.Minute // of one look
	sweepBatch  = 200              // executions whose rows go in one transaction
	sweepRest   = 20 * time.Millisecond

	readEndedParts = `
		SELECT name, first, until, coalesce(orphans <= clock_timestamp() - $2::interval, FALSE), clock_timestamp() FROM durable.part
		WHERE until <= $1 ORDER BY first`
	// The next executions that have rows, by jumping from one to the next, and whether they are gone.
	nextOrphans = `
		WITH RECURSIVE here AS (
			(SELECT execution AS id FROM durable.journal WHERE execution > $1 AND execution >= $2 AND execution < $3 ORDER BY execution LIMIT 1)
			UNION ALL
			SELECT next.id FROM here CROSS JOIN LATERAL (
				SELECT execution AS id FROM durable.journal WHERE execution > here.id AND execution >= $2 AND execution < $3 ORDER BY execution LIMIT 1) AS next
		)
		SELECT id, NOT EXISTS (SELECT FROM durable.execution e WHERE e.id = here.id) FROM here LIMIT $4`
	swept = `UPDATE durable.part SET orphans = $2 WHERE name = $1`

	// Rows of what has no header. The journal's are last: an execution that begins
	// again with such an id meets them, see clear.
	dropSnapshots = `
		DELETE FROM durable.snapshot s WHERE s.execution = ANY($1) AND s.execution BETWEEN $2 AND $3
			AND NOT EXISTS (SELECT FROM durable.execution e WHERE e.id = s.execution)`
	dropLogs = `
		DELETE FROM durable.log l WHERE l.execution = ANY($1) AND l.execution BETWEEN $2 AND $3
			AND NOT EXISTS (SELECT FROM durable.execution e WHERE e.id = l.execution)`
	dropBlobs = `
		WITH gone AS (
			DELETE FROM durable.blob b WHERE b.execution = ANY($1) AND b.execution BETWEEN $2 AND $3
				AND NOT EXISTS (SELECT FROM durable.execution e WHERE e.id = b.execution)
			RETURNING b.part, b.hash
		)
		INSERT INTO durable.loose (part, hash) SELECT DISTINCT part, hash FROM gone WHERE part IS NOT NULL`
	dropJournals = `
		DELETE FROM durable.journal j WHERE j.execution = ANY($1) AND j.execution BETWEEN $2 AND $3
			AND NOT EXISTS (SELECT FROM durable.execution e WHERE e.id = j.execution)`
)

// clear notes the statements that remove what executions without a header left behind.
func (t *tx) clear(of ids) {
	if len(of) == 0 {
		return
	}
	first, last := of.span()
	for _, statement := range []string{dropSnapshots, dropLogs, dropBlobs, dropJournals} {
		t.exec(statement, [][16]byte(of), first, last)
	}
}

// span is the least and the greatest of ids.
func (s ids) span() (first, last [16]byte) {
	for i, id := range s {
		if i == 0 || compareIDs(id, first) < 0 {
			first = id
		}
		if i == 0 || compareIDs(id, last) > 0 {
			last = id
		}
	}
	return first, last
}

// tendLater looks after the partitions in the background, if it is time. Renew
// and Prune call it; who only asks questions leaves it to others.
func (s *Store) tendLater() {
	s.tending.Lock()
	defer s.tending.Unlock()
	if s.enter(context.Background()) != nil || s.tended.busy || time.Now().Before(s.tended.next) {
		return
	}
	s.tended.busy = true
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		ctx, cancel := context.WithTimeout(s.life, tendTimeout)
		defer cancel()
		err := s.tend(ctx)
		s.tending.Lock()
		defer s.tending.Unlock()
		s.tended.busy = false
		s.tendAt(err)
	}()
}

// tendAt says when the next look is due. Handles that were opened together do not stay in step.
func (s *Store) tendAt(err error) {
	pause := tendEvery
	if err != nil {
		pause = tendAgain
	}
	s.tended.next = time.Now().Add(pause/2 + rand.N(pause))
}

// tend makes partitions for what comes and removes what is over.
func (s *Store) tend(ctx context.Context) error {
	made := errors.Join(s.makeParts(ctx), s.sweepPublications(ctx))
	now, err := s.clock(ctx)
	if err != nil {
		return err
	}
	type ended struct {
		part
		sweep bool
		now   time.Time
	}
	var list []ended
	err = s.ask(ctx, "look after partitions", readEndedParts, []any{[16]byte(firstID(now)), s.width}, func(r pgx.CollectableRow) error {
		var e ended
		err := r.Scan(&e.name, (*nullable)(&e.first), (*nullable)(&e.until), &e.sweep, (*instant)(&e.now))
		list = append(list, e)
		return err
	})
	errs := []error{made, err}
	for _, e := range list {
		var lives bool
		if err := s.read.QueryRow(ctx, s.schema.of(anyExecution), [16]byte(e.first), [16]byte(e.until)).Scan(&lives); err != nil {
			errs = append(errs, err)
			break
		}
		if !lives {
			_, err := s.dropPart(ctx, e.part)
			errs = append(errs, err)
		} else if e.sweep {
			errs = append(errs, s.sweep(ctx, e.part, e.now))
		}
	}
	return errors.Join(append(errs, s.dropBodies(ctx))...)
}

// sweep removes what pruned executions left in the partitions of a range. begun is when
// it was asked for: what is pruned from then on waits for the next one.
func (s *Store) sweep(ctx context.Context, p part, begun time.Time) error {
	var at uuid.UUID
	for {
		seen, gone := 0, ids{}
		err := s.attempt(ctx, s.read, func(ctx context.Context, t *tx) error {
			seen, gone = 0, ids{}
			t.read(nextOrphans, []any{[16]byte(at), [16]byte(p.first), [16]byte(p.until), sweepBatch}, func(r pgx.CollectableRow) error {
				var orphan bool
				err := r.Scan((*nullable)(&at), &orphan)
				if seen++; orphan {
					gone = append(gone, at)
				}
				return err
			})
			if err := t.flush(ctx); err != nil {
				return err
			}
			t.clear(gone)
			if seen < sweepBatch {
				t.exec(swept, p.name, begun)
			}
			return nil
		})
		if err != nil || seen < sweepBatch {
			return err
		}
		if len(gone) == 0 {
			continue
		}
		rest := time.NewTimer(sweepRest)
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return context.Cause(ctx)
		}
	}
}
