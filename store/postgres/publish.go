package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// Who publishes for a topic and who opens a shared wait for it take the topic's lock
// first of all, so one of the two sees the other.
const (
	readPublication = `SELECT got FROM durable.publication WHERE topic = $1 AND dedupe = $2 AND until > clock_timestamp()`
	// Those who have a shared wait for the topic. Nobody opens one while it is locked.
	readAwaiting = `SELECT DISTINCT execution FROM durable.wait WHERE shared AND topic = $1`
	dropStale    = `DELETE FROM durable.publication WHERE topic = $1 AND dedupe = $2`
	// The oldest wait of each that is locked gets it.
	publish = `
		WITH chosen AS MATERIALIZED (
			SELECT DISTINCT ON (w.execution) w.execution, w.id FROM durable.wait w
			WHERE w.shared AND w.topic = $1 AND w.execution = ANY($2) ORDER BY w.execution, w.opened, w.id
		),
		closed AS (DELETE FROM durable.wait w USING chosen c WHERE w.id = c.id),
		told AS (
			UPDATE durable.execution e SET inbox = e.inbox + 1, waits = e.waits - 1,
				status = CASE WHEN e.status = 'waiting' THEN 'pending' ELSE e.status END,
				due = CASE WHEN e.status = 'waiting' OR e.status = 'compensating' AND e.owner IS NULL THEN $3 ELSE e.due END
			FROM chosen c WHERE e.id = c.execution RETURNING e.id, e.inbox, c.id AS wait
		),
		sent AS (
			INSERT INTO durable.message (execution, seq, topic, wait, at, payload)
			SELECT told.id, told.inbox, $1, told.wait, $3, $4::bytea FROM told
		)
		INSERT INTO durable.publication (topic, dedupe, until, got, payload)
		SELECT $1, $5, $3 + $6::interval, g.n, CASE WHEN g.n = 0 THEN $4::bytea END FROM (SELECT count(*) AS n FROM chosen) AS g
		RETURNING got`
	sweepPublications = `
		DELETE FROM durable.publication p USING (
			SELECT topic, dedupe FROM durable.publication WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED
		) AS old WHERE p.topic = old.topic AND p.dedupe = old.dedupe`

	readKept = `
		SELECT w.topic, p.dedupe, p.payload FROM unnest($1::text[], $2::bigint[]) AS w (topic, n) CROSS JOIN LATERAL (
			SELECT k.n, k.dedupe, k.payload FROM durable.publication k
			WHERE k.topic = w.topic AND k.got = 0 AND k.until > clock_timestamp() ORDER BY k.n LIMIT w.n
		) AS p ORDER BY p.n`
	giveKept = `
		UPDATE durable.publication p SET got = 1, payload = NULL FROM unnest($1::text[], $2::text[]) AS w (topic, dedupe)
		WHERE p.topic = w.topic AND p.dedupe = w.dedupe`
)

const (
	// How soon a publication is tried again that found one of its executions held by
	// another transaction: soon, then less and less so.
	publishRest    = 2 * time.Millisecond
	publishRestMax = 200 * time.Millisecond
)

// errHeld means that another transaction has an execution that is to get something.
var errHeld = errors.New("another transaction holds an execution that waits for it")

// Publish implements store.Store. It holds the topic only for as long as it takes to
// see that all who are to get it are free.
func (s *Store) Publish(ctx context.Context, p store.Publication) (res store.Published, err error) {
	if err := p.Check(); err != nil {
		return store.Published{}, explain("publish", err)
	}
	if len(p.Payload) > batchBytes {
		return store.Published{}, explain("publish", store.ErrRefused)
	}
	rest := publishRest
	for {
		err := s.update(ctx, "publish", func(ctx context.Context, t *tx) error { return t.publish(ctx, &p, &res) })
		if !errors.Is(err, errHeld) {
			if err != nil {
				return store.Published{}, err
			}
			return res, nil
		}
		pause := time.NewTimer(rest)
		rest = min(2*rest, publishRestMax)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return store.Published{}, explain("publish", errors.Join(context.Cause(ctx), errHeld))
		case <-s.life.Done():
			pause.Stop()
			return store.Published{}, explain("publish", context.Cause(s.life))
		}
	}
}

func (t *tx) publish(ctx context.Context, p *store.Publication, res *store.Published) error {
	t.exec(lockNumbers, t.s.schema.topicLocks([]string{p.Topic}))
	t.readClock()
	var awaiting ids
	known := -1
	t.read(readPublication, []any{p.Topic, p.Dedupe}, func(r pgx.CollectableRow) error { return r.Scan(&known) })
	t.read(readAwaiting, []any{p.Topic}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		err := r.Scan((*nullable)(&id))
		awaiting = append(awaiting, id)
		return err
	})
	if err := t.flush(ctx); err != nil {
		return err
	}
	if known >= 0 {
		*res = store.Published{Now: t.now, Code: store.Landed, Got: known}
		return nil
	}
	if err := t.reserve(ctx, awaiting.sorted()); err != nil {
		return err
	}
	t.exec(dropStale, p.Topic, p.Dedupe)
	t.exec(sweepPublications, t.now, store.SweepPublications)
	keep := (p.Keep + time.Microsecond - 1).Truncate(time.Microsecond)
	*res = store.Published{Now: t.now, Code: store.Applied}
	t.hints = true
	_, err := t.one(ctx, publish, []any{p.Topic, [][16]byte(awaiting), t.now, p.Payload, p.Dedupe, keep}, &res.Got)
	return err
}

// reserve locks executions, or none if somebody else has one.
func (t *tx) reserve(ctx context.Context, executions ids) error {
	if len(executions) == 0 {
		return nil
	}
	locked := map[store.ID]bool{}
	t.read(tryHeads, []any{[][16]byte(executions)}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		err := r.Scan((*nullable)(&id))
		locked[id] = true
		return err
	})
	t.readClock()
	if err := t.flush(ctx); err != nil {
		return err
	}
	if len(locked) < len(executions) { // one with a wait is not pruned, so it is there
		return errHeld
	}
	return nil
}

func isShared(w store.Wait) bool { return w.Shared }

// topicLocks is the numbers of the locks of topics.
func (n schema) topicLocks(topics []string) []int64 {
	numbers := make([]int64, len(topics))
	for i, topic := range topics {
		numbers[i] = n.lock("topic " + topic)
	}
	return numbers
}

// kept is a publication that nobody has got.
type kept struct {
	dedupe  string
	payload []byte
}

type keptRef struct{ topic, dedupe string }

// readKept notes the statement that reads what is kept for topics that are locked: for each
// as many as there may be takers.
func (t *tx) readKept(topics []string) {
	if len(topics) == 0 {
		return
	}
	topics = slices.Sorted(slices.Values(topics))
	var names []string
	var wanted []int64
	for _, topic := range topics {
		if n := len(names); n > 0 && names[n-1] == topic {
			wanted[n-1]++
			continue
		}
		names, wanted = append(names, topic), append(wanted, 1)
	}
	t.kept = map[string][]kept{}
	t.read(readKept, []any{names, wanted}, func(r pgx.CollectableRow) error {
		var topic string
		var k kept
		err := r.Scan(&topic, &k.dedupe, &k.payload)
		t.kept[topic] = append(t.kept[topic], k)
		return err
	})
}

// takeKept gives an execution the oldest publication that is kept for a wait that it
// is to open. It reports whether there was one.
func (t *tx) takeKept(id store.ID, x *head, w *store.Wait) bool {
	list := t.kept[w.Topic]
	if len(list) == 0 {
		return false
	}
	k := list[0]
	t.kept[w.Topic] = list[1:]
	x.inbox++
	x.untaken++
	x.counts = true
	t.draft.messages = append(t.draft.messages, messageDraft{id, x.inbox, false, &store.Deliver{Topic: w.Topic, Wait: w.ID, Payload: k.payload}})
	t.draft.given = append(t.draft.given, keptRef{w.Topic, k.dedupe})
	return true
}

func (d *draft) queueGiven(t *tx) {
	if len(d.given) == 0 {
		return
	}
	topic, dedupe := make([]string, len(d.given)), make([]string, len(d.given))
	for i, k := range d.given {
		topic[i], dedupe[i] = k.topic, k.dedupe
	}
	t.exec(giveKept, topic, dedupe)
}

// sweepPublications removes those whose time is over. Each Publish removes some, too: this
// is for when nobody publishes any more.
func (s *Store) sweepPublications(ctx context.Context) error {
	for {
		var gone int64
		err := s.attempt(ctx, s.read, func(ctx context.Context, t *tx) (err error) {
			t.readClock()
			if err := t.flush(ctx); err != nil {
				return err
			}
			gone, err = t.changes(ctx, sweepPublications, t.now, sweepBatch)
			return err
		})
		if err != nil || gone < sweepBatch {
			return err
		}
	}
}
