package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	// Each kind of lock is taken by one statement, in an order that all share.
	shareLeases = `SELECT who, expires FROM durable.lease WHERE who = ANY($1) ORDER BY who FOR KEY SHARE`
	seizeLeases = `SELECT who, expires FROM durable.lease WHERE who = ANY($1) ORDER BY who FOR UPDATE`
	lockHeads   = `SELECT id FROM durable.execution WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`
	tryHeads    = `SELECT id FROM durable.execution WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`
	lockNumbers = `SELECT pg_advisory_xact_lock(n) FROM (SELECT n FROM unnest($1::bigint[]) AS n ORDER BY n) AS ordered`
	readClock   = `SELECT clock_timestamp()`
	// A statement of its own: who waits for a row's lock gets the newest row, but
	// everything else as it was before the wait.
	readHeads = `
		SELECT e.id, e.status, e.owner, e.epoch, e.inbox, e.waits, e.blocked,
			(SELECT max(seq) FROM durable.journal WHERE execution = e.id),
			(SELECT TRUE FROM durable.hold h WHERE h.execution = e.id LIMIT 1) IS NOT NULL
		FROM durable.execution e WHERE e.id = ANY($1)`
	readOwners = `SELECT DISTINCT owner FROM durable.execution WHERE id = ANY($1)` // nobody among them

	// What writes of some kinds are judged by, beside the heads.
	readEpochs = `
		SELECT w.id, j.seq, j.epoch FROM unnest($1::uuid[], $2::integer[], $3::bytea[]) AS w (id, seq, hash)
		CROSS JOIN LATERAL (SELECT seq, epoch, body FROM durable.journal WHERE execution = w.id AND seq = w.seq LIMIT 1) AS j
		WHERE sha256(j.body) = w.hash`
	readLast = `
		SELECT w.id, j.body = w.body FROM unnest($1::uuid[], $2::bytea[]) AS w (id, body)
		CROSS JOIN LATERAL (SELECT body FROM durable.journal WHERE execution = w.id ORDER BY seq DESC LIMIT 1) AS j`
	readOpen = `SELECT execution, id, topic FROM durable.wait WHERE execution = ANY($1)`
	readUsed = `
		SELECT w.id, w.dedupe FROM unnest($1::uuid[], $2::text[]) AS w (id, dedupe)
		CROSS JOIN LATERAL (SELECT FROM durable.accepted a WHERE a.execution = w.id AND a.dedupe = w.dedupe LIMIT 1) AS a`
	readUntaken = `
		SELECT w.id, (SELECT count(*) FROM durable.message m WHERE m.execution = w.id AND NOT m.kin) FROM unnest($1::uuid[]) AS w (id)`
)

// locks is what some writes need before they may be judged.
type locks struct {
	leases     ids
	executions ids
	names      []string // of holds
	controlled ids      // executions that may be taken from an owner
	topics     []string // of shared waits that are to be opened, as often as they are
}

// locksOf says what the writes at some places need.
func locksOf(writes []store.Write, of []int) locks {
	var l locks
	for _, i := range of {
		w := &writes[i]
		switch {
		case w.Begin != nil:
			l.leases.add(w.Begin.Owner)
		case w.Deliver != nil:
			l.executions = append(l.executions, w.Deliver.ID)
		case w.Control != nil:
			l.executions = append(l.executions, w.Control.ID)
			l.controlled = append(l.controlled, w.Control.ID)
		case w.Advance != nil:
			l.leases.add(w.Advance.Owner)
			l.executions = append(l.executions, w.Advance.ID)
			for c := range w.Advance.Children {
				l.executions = append(l.executions, w.Advance.Children[c].ID) // one may be there
			}
			for i := range w.Advance.Open {
				if o := &w.Advance.Open[i]; isShared(*o) {
					l.topics = append(l.topics, o.Topic)
				}
			}
			for _, h := range w.Advance.Holds {
				if h.Amount > 0 {
					l.names = append(l.names, h.Name)
				}
			}
		}
	}
	l.executions = l.executions.sorted()
	return l
}

// lock takes all locks and then asks for the time and the heads, in one round
// trip with what has been noted before.
func (t *tx) lock(ctx context.Context, l locks) error {
	expires, err := t.seize(ctx, &l)
	if err != nil {
		return err
	}
	t.readClock()
	t.readHeads(l.executions)
	if err := t.flush(ctx); err != nil {
		return err
	}
	return t.locked(&l, expires)
}

// seize notes the statements that take locks.
func (t *tx) seize(ctx context.Context, l *locks) (expires map[store.Incarnation]time.Time, err error) {
	leases := shareLeases
	if len(l.controlled) > 0 {
		// One strength for all keeps the order; controls are rare.
		leases = seizeLeases
		owners, err := t.owners(ctx, l.controlled)
		if err != nil {
			return nil, err
		}
		l.leases.add(owners...)
	}
	expires = map[store.Incarnation]time.Time{}
	if len(l.leases) > 0 {
		t.read(leases, []any{[][16]byte(l.leases)}, func(r pgx.CollectableRow) error {
			var who uuid.UUID
			var at time.Time
			err := r.Scan((*nullable)(&who), &at)
			expires[who] = at
			return err
		})
	}
	// Before executions: who publishes has the topic first, too, and then those who wait for it.
	if len(l.topics) > 0 {
		t.exec(lockNumbers, t.s.schema.topicLocks(l.topics))
	}
	if len(l.executions) > 0 {
		statement := tryHeads
		if t.patient || t.patience == waits {
			statement = lockHeads
		}
		t.have = make(map[store.ID]bool, len(l.executions))
		t.read(statement, []any{[][16]byte(l.executions)}, func(r pgx.CollectableRow) error {
			var id uuid.UUID
			err := r.Scan((*nullable)(&id))
			t.have[id] = true
			return err
		})
	}
	if len(l.names) > 0 {
		numbers := make([]int64, len(l.names))
		for i, n := range l.names {
			numbers[i] = t.s.schema.lock("hold " + n)
		}
		t.exec(lockNumbers, numbers)
	}
	return expires, nil
}

// locked looks at what the locks found.
func (t *tx) locked(l *locks, expires map[store.Incarnation]time.Time) error {
	t.alive = map[store.Incarnation]bool{}
	for who, at := range expires {
		t.alive[who] = t.now.Before(at)
	}
	for _, id := range l.controlled {
		if x := t.heads[uuid.UUID(id)]; x != nil && x.owner != uuid.Nil && !l.leases.has(x.owner) {
			return errRaced // claimed since we asked who has it
		}
	}
	return t.met()
}

// readHeads notes the statement that reads the heads of locked executions.
func (t *tx) readHeads(of ids) {
	if t.heads == nil {
		t.heads = make(map[store.ID]*head, len(of))
	}
	if len(of) == 0 {
		return
	}
	t.read(readHeads, []any{[][16]byte(of)}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		x := new(head)
		var blocked string
		err := r.Scan((*nullable)(&id), &x.status, (*nullable)(&x.owner), &x.epoch, &x.inbox, &x.waits, &blocked, &x.length, &x.held)
		x.blocked = store.SplitBlocked(blocked)
		t.heads[id] = x
		return err
	})
}

func (t *tx) owners(ctx context.Context, of ids) (owners []uuid.UUID, err error) {
	t.read(readOwners, []any{[][16]byte(of)}, func(r pgx.CollectableRow) error {
		var who uuid.UUID
		err := r.Scan((*nullable)(&who))
		owners = append(owners, who)
		return err
	})
	return owners, t.flush(ctx)
}

// evidence notes the statements that read what writes are judged by beside the
// heads, which must have been noted before.
func (t *tx) evidence(writes []store.Write, of []int) {
	var rows, last, waits, told ids
	var seqs []int32
	var hashes, bodies [][]byte
	var named ids // may have one more than once
	var names []string
	for _, i := range of {
		w := &writes[i]
		switch {
		case w.Advance != nil:
			if a := w.Advance; len(a.Row) > 0 && a.Base >= 0 && a.Base <= maxBase {
				hash := sha256.Sum256(a.Row)
				rows, seqs, hashes = append(rows, a.ID), append(seqs, int32(a.Base+1)), append(hashes, hash[:])
			}
			if len(w.Advance.Shut) > 0 {
				waits = append(waits, w.Advance.ID)
			}
		case w.Control != nil && len(w.Control.Row) > 0:
			last, bodies = append(last, w.Control.ID), append(bodies, w.Control.Row)
		case w.Deliver != nil:
			waits, told = append(waits, w.Deliver.ID), append(told, w.Deliver.ID)
			named, names = append(named, w.Deliver.ID), append(names, w.Deliver.Dedupe)
		}
	}
	if len(rows) > 0 {
		t.readEpochs(rows, seqs, hashes)
	}
	if len(last) > 0 {
		t.read(readLast, []any{[][16]byte(last), bodies}, func(r pgx.CollectableRow) error {
			var id uuid.UUID
			var is bool
			err := r.Scan((*nullable)(&id), &is)
			t.head(id).isLast = is
			return err
		})
	}
	if len(waits) > 0 {
		t.readOpen(waits.sorted())
	}
	if len(told) > 0 {
		t.readInboxes(told.sorted(), named, names)
	}
}

// head is where evidence about an execution goes: nowhere, if there is none.
func (t *tx) head(id store.ID) *head {
	if x := t.heads[id]; x != nil {
		return x
	}
	return new(head)
}

func (t *tx) readEpochs(rows ids, seqs []int32, hashes [][]byte) {
	t.read(readEpochs, []any{[][16]byte(rows), seqs, hashes}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var seq int
		var epoch int64
		err := r.Scan((*nullable)(&id), &seq, &epoch)
		t.head(id).rowAt = map[int]int64{seq: epoch} // one write per execution asks
		return err
	})
}

func (t *tx) readOpen(of ids) {
	t.read(readOpen, []any{[][16]byte(of)}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var wait, topic string
		err := r.Scan((*nullable)(&id), &wait, &topic)
		if x := t.head(id); x.open == nil {
			x.open = map[string]string{wait: topic}
		} else {
			x.open[wait] = topic
		}
		return err
	})
}

func (t *tx) readInboxes(told, named ids, names []string) {
	t.read(readUntaken, []any{[][16]byte(told)}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var n int64
		err := r.Scan((*nullable)(&id), &n)
		x := t.head(id)
		x.untaken = n
		if x.open == nil {
			x.open = map[string]string{}
		}
		return err
	})
	t.readUsed(named, names)
}

func (t *tx) readUsed(named ids, names []string) {
	t.read(readUsed, []any{[][16]byte(named), names}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var name string
		err := r.Scan((*nullable)(&id), &name)
		if x := t.heads[id]; x != nil {
			x.use(name)
		}
		return err
	})
}

// ids are executions or incarnations, as the driver takes arrays.
type ids [][16]byte

// sorted puts them in order, each once.
func (s ids) sorted() ids {
	slices.SortFunc(s, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(s)
}

// set is for looking many of them up.
func (s ids) set() map[store.ID]bool {
	m := make(map[store.ID]bool, len(s))
	for _, id := range s {
		m[id] = true
	}
	return m
}

// add is for few of them.
func (s *ids) add(more ...uuid.UUID) {
	for _, id := range more {
		if id != uuid.Nil && !s.has(id) {
			*s = append(*s, id)
		}
	}
}

func (s ids) has(id uuid.UUID) bool {
	return slices.ContainsFunc(s, func(x [16]byte) bool { return bytes.Equal(x[:], id[:]) })
}

// readClock notes the question for the time, which comes after all locks.
func (t *tx) readClock() {
	t.read(readClock, nil, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&t.now)) })
}
