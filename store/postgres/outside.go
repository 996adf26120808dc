package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

var _ store.Transactor = (*Store)(nil)

// Statements for transactions of callers, whatever driver they are made with:
// all parameters and results are texts, numbers and bytes.
const (
	// The time at which our tables were made tells them from those of another
	// database in a schema of the same name.
	outsideHome = `
		SELECT (SELECT extract(epoch FROM applied_at)::text FROM durable.migration WHERE version = 1),
			(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
	outsideBegin = `
		WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
		made AS (
			INSERT INTO durable.execution (id, workflow, version, queue, key, priority, tags, status, due, epoch, created, changed, input_hash)
			SELECT $1::text::uuid, $2::text, $3::text, $4::text, nullif($5::text, ''), $6::bigint::integer,
				ARRAY(SELECT jsonb_array_elements_text($7::text::jsonb)), 'pending',
				coalesce(nullif($8::text, '')::timestamptz, clock.now), 0, clock.now, clock.now, $9::bytea
			FROM clock
			ON CONFLICT DO NOTHING RETURNING id, created
		),
		first AS (INSERT INTO durable.journal (execution, seq, epoch, at, body) SELECT id, 1, 0, created, $10::bytea FROM made)
		SELECT count(*) FROM made`
	outsideKnown = `SELECT count(*) FROM durable.execution WHERE id = $1::text::uuid`
	outsideByKey = `SELECT id::text, input_hash FROM durable.execution WHERE workflow = $1::text AND key = $2::text`
	outsideLock  = `SELECT status, (owner IS NULL)::integer FROM durable.execution WHERE id = $1::text::uuid FOR NO KEY UPDATE`
	outsideState = `SELECT status FROM durable.execution WHERE id = $1::text::uuid`
	// A statement of its own: see readHeads.
	outsideWeigh = `
		SELECT (SELECT count(*) FROM durable.accepted WHERE execution = $1::text::uuid AND dedupe = $2::text),
			(SELECT count(*) FROM durable.wait WHERE execution = $1::text::uuid AND id = $3::text),
			(SELECT count(*) FROM durable.wait WHERE execution = $1::text::uuid AND topic = $4::text AND topic <> ''),
			(SELECT count(*) FROM durable.message WHERE execution = $1::text::uuid AND NOT kin)`
	// $7 keeps the wait.
	outsideDeliver = `
		WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
		closed AS (DELETE FROM durable.wait WHERE execution = $1::text::uuid AND id = $4::text AND NOT $7::boolean RETURNING id),
		told AS (
			UPDATE durable.execution SET
				inbox = inbox + 1, waits = waits - (SELECT count(*) FROM closed),
				status = CASE WHEN $6::bigint = 1 THEN 'pending' ELSE status END,
				due = CASE WHEN $6::bigint > 0 THEN clock.now ELSE due END
			FROM clock WHERE id = $1::text::uuid RETURNING inbox
		),
		named AS (INSERT INTO durable.accepted (execution, dedupe) VALUES ($1::text::uuid, $2::text))
		INSERT INTO durable.message (execution, seq, topic, wait, at, payload)
		SELECT $1::text::uuid, told.inbox, $3::text, $4::text, clock.now, $5::bytea FROM told, clock`
	outsideWaits = `
		SELECT coalesce(json_agg(json_build_object('id', id, 'path', path, 'call', call, 'kind', kind, 'name', name, 'topic', topic, 'label', label, 'shared', shared,
			'deadline', CASE WHEN isfinite(deadline) THEN deadline END, 'opened', opened, 'detail', encode(detail, 'base64')) ORDER BY deadline, opened, id), '[]')::text
		FROM durable.wait WHERE execution = $1::text::uuid`
	outsideNotify = `SELECT pg_notify($1::text, '')`
)

// outside is a caller's transaction.
type outside struct {
	s   *Store
	row func(ctx context.Context, statement string, args ...any) pgx.Row
	now time.Time
	// do runs a statement without results.
	do func(ctx context.Context, statement string, args ...any) error
}

// outside takes a pgx.Tx, or a *sql.Tx of any driver, that is open on our database.
func (s *Store) outside(ctx context.Context, tx any) (*outside, error) {
	o := &outside{s: s}
	switch q := tx.(type) {
	case pgx.Tx:
		o.row = q.QueryRow
		o.do = func(ctx context.Context, statement string, args ...any) error {
			_, err := q.Exec(ctx, statement, args...)
			return err
		}
	case *sql.Tx:
		if q == nil {
			return nil, fmt.Errorf("a nil *sql.Tx was given: %w", store.ErrBadTx)
		}
		o.row = func(ctx context.Context, statement string, args ...any) pgx.Row {
			return q.QueryRowContext(ctx, statement, args...)
		}
		o.do = func(ctx context.Context, statement string, args ...any) error {
			_, err := q.ExecContext(ctx, statement, args...)
			return err
		}
	default:
		return nil, fmt.Errorf("a %T was given; give an open pgx.Tx or *sql.Tx on this database: %w", tx, store.ErrBadTx)
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	var theirs sql.NullString
	var now int64
	if err := o.row(ctx, s.schema.of(outsideHome)).Scan(&theirs, &now); err != nil {
		return nil, strange(err, s.schema)
	}
	if theirs.String != s.home {
		return nil, fmt.Errorf("the transaction is on another database, whose schema %q has the tables of another store: %w", string(s.schema), store.ErrBadTx)
	}
	o.now = time.UnixMicro(now).UTC()
	return o, nil
}

// strange says what is wrong with a transaction in which our tables cannot be read.
func strange(err error, in schema) error {
	if errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("the transaction has ended: %w: %w", store.ErrBadTx, err)
	}
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		switch e.SQLState() {
		case "42P01", "3F000", "42703": // no such table, schema, column
			return fmt.Errorf("the transaction's database has no tables of ours in schema %q: %w: %w", string(in), store.ErrBadTx, err)
		case "25P02": // in_failed_sql_transaction
			return fmt.Errorf("an earlier statement in the transaction failed, so it can only be rolled back: %w: %w", store.ErrBadTx, err)
		}
	}
	return err
}

// home is what tells our tables from those of another database.
func (n schema) home(ctx context.Context, c *pgx.Conn) (home string, err error) {
	var now int64
	err = c.QueryRow(ctx, n.of(outsideHome)).Scan(&home, &now)
	return home, err
}

// CommitIn implements store.Transactor.
func (s *Store) CommitIn(ctx context.Context, tx any, writes []store.Write) (store.Result, error) {
	const doing = "write in a transaction"
	if err := store.CheckIn(writes); err != nil {
		return store.Result{}, explain(doing, err)
	}
	if err := check(writes); err != nil {
		return store.Result{}, explain(doing, err)
	}
	o, err := s.outside(ctx, tx)
	if err != nil {
		return store.Result{}, explain(doing, err)
	}
	res := store.Result{Now: o.now, Verdicts: make([]store.Verdict, len(writes))}
	hints := false
	for i, w := range writes {
		if w.Begin != nil {
			res.Verdicts[i], err = o.begin(ctx, w.Begin)
		} else {
			res.Verdicts[i], err = o.deliver(ctx, w.Deliver)
		}
		if err != nil {
			return store.Result{}, explain(doing, fmt.Errorf("write %d: %w", i, err))
		}
		hints = hints || res.Verdicts[i].Code == store.Applied
	}
	if hints { // with no mark of ours: this process, too, learns by it that the caller has committed
		if err := o.do(ctx, outsideNotify, s.schema.channel()); err != nil {
			return store.Result{}, explain(doing, err)
		}
	}
	return res, nil
}

func (o *outside) begin(ctx context.Context, b *store.Begin) (v store.Verdict, err error) {
	tags := b.Tags
	if tags == nil {
		tags = []string{}
	}
	list, err := json.Marshal(tags)
	if err != nil {
		return v, err
	}
	due := ""
	if !b.Due.IsZero() {
		due = stamp(b.Due).UTC().Format(time.RFC3339Nano)
	}
	of := o.s.schema.of
	var n int64
	if err := o.row(ctx, of(outsideBegin), b.ID.String(), b.Workflow, b.Version, b.Queue, b.Key, int64(b.Priority), string(list), due, b.InputHash, b.Row).Scan(&n); err != nil {
		return v, err
	}
	if n > 0 {
		return store.Verdict{Code: store.Applied}, nil
	}
	if err := o.row(ctx, of(outsideKnown), b.ID.String()).Scan(&n); err != nil {
		return v, err
	}
	if n > 0 {
		return store.Verdict{Code: store.Landed}, nil
	}
	var id string
	var hash []byte
	if err := o.row(ctx, of(outsideByKey), b.Workflow, b.Key).Scan(&id, &hash); err != nil {
		return v, err
	}
	v = store.Verdict{Code: store.Exists, Same: bytes.Equal(hash, b.InputHash)}
	v.ID, err = uuid.Parse(id)
	return v, err
}

func (o *outside) deliver(ctx context.Context, d *store.Deliver) (v store.Verdict, err error) {
	of, id := o.s.schema.of, d.ID.String()
	var (
		status string
		free   int64
	)
	if there, err := o.read(o.row(ctx, of(outsideLock), id), &status, &free); err != nil || !there {
		return store.Verdict{Code: store.NotFound}, err
	}
	var used, open, matches, untaken int64
	if err := o.row(ctx, of(outsideWeigh), id, d.Dedupe, d.Wait, d.Topic).Scan(&used, &open, &matches, &untaken); err != nil {
		return v, err
	}
	switch {
	case used > 0:
		return store.Verdict{Code: store.Landed}, nil
	case store.Status(status).Ended():
		return store.Verdict{Code: store.Ended, Status: store.Status(status)}, nil
	case d.Wait != "" && open == 0:
		return store.Verdict{Code: store.NoSuchWait}, nil
	case d.Max > 0 && untaken >= int64(d.Max):
		return store.Verdict{Code: store.Full}, nil
	}
	wakes := int64(0) // 1: pending, due now; 2: due now
	switch {
	case store.Status(status) == store.Waiting && (d.Wait != "" || matches > 0):
		wakes = 1
	case store.Status(status) == store.Compensating && free > 0:
		wakes = 2
	}
	err = o.do(ctx, of(outsideDeliver), id, d.Dedupe, d.Topic, d.Wait, d.Payload, wakes, d.Keep)
	return store.Verdict{Code: store.Applied}, err
}

// read tells no row from a failure, for all drivers.
func (o *outside) read(r pgx.Row, into ...any) (bool, error) {
	err := r.Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// WaitsIn implements store.Transactor.
func (s *Store) WaitsIn(ctx context.Context, tx any, id store.ID) (store.Status, []store.Wait, error) {
	const doing = "waits in a transaction"
	o, err := s.outside(ctx, tx)
	if err != nil {
		return "", nil, explain(doing, err)
	}
	var status, text string
	there, err := o.read(o.row(ctx, s.schema.of(outsideState), id.String()), &status)
	if err == nil && !there {
		err = fmt.Errorf("execution %s: %w", id, store.ErrNotFound)
	}
	if err == nil {
		err = o.row(ctx, s.schema.of(outsideWaits), id.String()).Scan(&text)
	}
	var waits []store.Wait
	if err == nil {
		err = json.Unmarshal([]byte(text), &waits)
	}
	if err != nil {
		return "", nil, explain(doing, err)
	}
	for i := range waits {
		waits[i].Execution, waits[i].Deadline, waits[i].Opened = id, waits[i].Deadline.UTC(), waits[i].Opened.UTC()
	}
	return store.Status(status), waits, nil
}
