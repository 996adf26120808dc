package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Partition sets for how long the executions are made whose journals, snapshots,
// logs and blobs lie in one partition; the default is 30 days, the least an hour.
// It counts for partitions that are made from now on.
//
// A partition is dropped whole when retention has removed all its executions, so
// it should not be much wider than the time for which most are kept. Each one
// costs every statement a little: keep them below a hundred.
func Partition(d time.Duration) Option {
	return func(o *opener) { o.width = d.Truncate(time.Minute) }
}

const (
	defaultWidth  = 30 * 24 * time.Hour
	smallestWidth = time.Hour
	// How long a change of the tables may keep others waiting, and how often it is
	// tried until nobody is in the way.
	partPatience = 50 * time.Millisecond
	partTries    = 40
	partRest     = 100 * time.Millisecond
)

// part is a range of ids, by the time at which they were made, with a
// partition in each of the five tables.
type part struct {
	name         string
	first, until uuid.UUID
}

// partOf is the range of a time: one of those that follow each other without
// gaps if the width stays as it is, cut to what is free between two others.
func partOf(at time.Time, width time.Duration, free part) part {
	begin := at.Truncate(width)
	p := part{first: firstID(begin), until: firstID(begin.Add(width))}
	if compareIDs(p.first, free.first) < 0 {
		p.first = free.first
	}
	if free.until != uuid.Nil && compareIDs(p.until, free.until) > 0 {
		p.until = free.until
	}
	p.name = timeOf(p.first).Format("20060102t1504")
	return p
}

// timeOf is when ids like this one are made.
func timeOf(id uuid.UUID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:]) >> 16)).UTC()
}

// firstID is the least UUIDv7 of a time, or below it.
func firstID(t time.Time) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(max(t.UnixMilli(), 0))<<16)
	return id
}

func compareIDs(a, b uuid.UUID) int { return strings.Compare(string(a[:]), string(b[:])) }

// of is a statement for the partitions of this range. Names and bounds of
// partitions cannot be parameters; these are made of a time and nothing else.
func (p part) of(statement string) string {
	return strings.NewReplacer("$part", p.name, "$first", p.first.String(), "$until", p.until.String()).Replace(statement)
}

// Several statements at once, so only the simple protocol takes them.
const (
	makePart = `
		CREATE TABLE durable.journal_$part (LIKE durable.journal INCLUDING ALL);
		CREATE TABLE durable.snapshot_$part (LIKE durable.snapshot INCLUDING ALL);
		CREATE TABLE durable.log_$part (LIKE durable.log INCLUDING ALL);
		CREATE TABLE durable.blob_$part (LIKE durable.blob INCLUDING ALL);
		CREATE TABLE durable.body_$part (LIKE durable.body INCLUDING ALL)`
	// The first lock is in nobody's way. The second waits for who uses the default partitions, as
	// each question to one of these tables does, and lets nobody pass meanwhile.
	lockToAttach = `
		LOCK TABLE ONLY durable.journal, ONLY durable.snapshot, ONLY durable.log, ONLY durable.blob, ONLY durable.body IN SHARE UPDATE EXCLUSIVE MODE;
		LOCK TABLE ONLY durable.journal_default, ONLY durable.snapshot_default, ONLY durable.log_default, ONLY durable.blob_default, ONLY durable.body_default IN ACCESS EXCLUSIVE MODE`
	attachPart = `
		ALTER TABLE durable.journal ATTACH PARTITION durable.journal_$part FOR VALUES FROM ('$first') TO ('$until');
		ALTER TABLE durable.snapshot ATTACH PARTITION durable.snapshot_$part FOR VALUES FROM ('$first') TO ('$until');
		ALTER TABLE durable.log ATTACH PARTITION durable.log_$part FOR VALUES FROM ('$first') TO ('$until');
		ALTER TABLE durable.blob ATTACH PARTITION durable.blob_$part FOR VALUES FROM ('$first') TO ('$until');
		ALTER TABLE durable.body ATTACH PARTITION durable.body_$part FOR VALUES FROM ('$first') TO ('$until');
		INSERT INTO durable.part (name, first, until) VALUES ('$part', '$first', '$until')`
	// All at once: parents first, then what only a vacuum may have.
	lockToDrop = `
		LOCK TABLE ONLY durable.journal, ONLY durable.snapshot, ONLY durable.log, ONLY durable.blob, ONLY durable.body,
			ONLY durable.journal_default, ONLY durable.snapshot_default, ONLY durable.log_default, ONLY durable.blob_default, ONLY durable.body_default,
			ONLY durable.journal_$part, ONLY durable.snapshot_$part, ONLY durable.log_$part, ONLY durable.blob_$part, ONLY durable.body_$part IN ACCESS EXCLUSIVE MODE`
	dropPart = `
		DROP TABLE durable.journal_$part, durable.snapshot_$part, durable.log_$part, durable.blob_$part, durable.body_$part;
		DELETE FROM durable.part WHERE name = '$part'`

	isThere = `SELECT EXISTS (SELECT FROM durable.part WHERE first <= $1 AND until > $1)`
	// What is around a time: the end of the range before or at it, the beginning of the one after it.
	readAround = `
		SELECT (SELECT until FROM durable.part WHERE first <= $1 ORDER BY first DESC LIMIT 1),
			(SELECT first FROM durable.part WHERE first > $1 ORDER BY first LIMIT 1)`
	anyExecution = `SELECT EXISTS (SELECT FROM durable.execution WHERE id >= $1 AND id < $2)`
	lockParts    = `SELECT pg_advisory_xact_lock($1)`
)

// makeParts makes the partitions of now and of half a width from now.
func (s *Store) makeParts(ctx context.Context) error {
	now, err := s.clock(ctx)
	if err != nil {
		return err
	}
	for _, at := range []time.Time{now, now.Add(s.width / 2)} {
		if err := s.makePart(ctx, at); err != nil {
			return fmt.Errorf("make partitions: %w", err)
		}
	}
	return nil
}

// makePart makes the partitions of a time, if they are not there. A range that
// has rows in the default partitions already keeps them there: nobody had made its
// own in time.
func (s *Store) makePart(ctx context.Context, at time.Time) error {
	there := false // nearly always; then nobody's lock is needed
	if err := s.ask(ctx, "look for partitions", isThere, []any{[16]byte(firstID(at))}, func(r pgx.CollectableRow) error { return r.Scan(&there) }); err != nil || there {
		return err
	}
	err := s.alter(ctx, func(ctx context.Context, t *ddl) error {
		var free part
		err := t.tx.QueryRow(ctx, s.schema.of(readAround), [16]byte(firstID(at))).Scan((*nullable)(&free.first), (*nullable)(&free.until))
		if err != nil || compareIDs(free.first, firstID(at)) > 0 {
			return err // another process was faster
		}
		p := partOf(at, s.width, free)
		if err := t.run(ctx, 0, p.of(makePart)); err != nil {
			return err
		}
		if err := t.run(ctx, partPatience, lockToAttach); err != nil {
			return err
		}
		return t.run(ctx, 0, p.of(attachPart))
	})
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "23514" { // check_violation: rows in the default partitions
		return nil
	}
	return err
}

// clock asks the server for the time.
func (s *Store) clock(ctx context.Context) (now time.Time, err error) {
	err = s.ask(ctx, "ask for the time", readClock, nil, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&now)) })
	return now, err
}

// dropPart drops the partitions of a range, if no execution is in it any more.
// If one begins at that moment, its rows go to the default partitions.
func (s *Store) dropPart(ctx context.Context, p part) (dropped bool, err error) {
	err = s.alter(ctx, func(ctx context.Context, t *ddl) error {
		dropped = false
		there := false
		err := t.tx.QueryRow(ctx, s.schema.of(isThere), [16]byte(p.first)).Scan(&there)
		if err != nil || !there {
			return err // another process was faster
		}
		if err := t.run(ctx, partPatience, p.of(lockToDrop)); err != nil {
			return err
		}
		var any bool
		if err := t.tx.QueryRow(ctx, s.schema.of(anyExecution), [16]byte(p.first), [16]byte(p.until)).Scan(&any); err != nil || any {
			return err
		}
		dropped = true
		return t.run(ctx, 0, p.of(dropPart))
	})
	return dropped && err == nil, err
}

// ddl is a transaction that changes tables.
type ddl struct {
	s  *Store
	tx pgx.Tx
}

// run runs statements; each that is not through within patience ends the transaction.
func (t *ddl) run(ctx context.Context, patience time.Duration, statements string) error {
	limit := fmt.Sprintf("SET LOCAL statement_timeout = %d; ", patience.Milliseconds())
	_, err := t.tx.Conn().PgConn().Exec(ctx, limit+t.s.schema.of(statements)).ReadAll()
	return err
}

// alter runs fn in a transaction of its own, one process at a time, and again while somebody is
// in the way. It never waits for a table for longer than patience allows.
func (s *Store) alter(ctx context.Context, fn func(ctx context.Context, t *ddl) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginTxFunc(ctx, s.read, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockParts, s.schema.lock("parts")); err != nil {
				return err
			}
			return fn(ctx, &ddl{s, tx})
		})
		if err == nil || try == partTries || !inTheWay(err) {
			return err
		}
		rest := time.NewTimer(partRest/2 + rand.N(partRest))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return context.Cause(ctx)
		}
	}
}

// inTheWay tells whether a change of tables failed because others used them.
func inTheWay(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "57014", "55P03", "40P01": // query_canceled by the timeout, lock_not_available, deadlock_detected
		return true
	}
	return false
}
