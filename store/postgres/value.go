package postgres

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// nullable reads a UUID; NULL is the zero one.
type nullable uuid.UUID

// ScanUUID implements pgtype.UUIDScanner.
func (n *nullable) ScanUUID(v pgtype.UUID) error {
	*n = nullable(v.Bytes) // zero if NULL
	return nil
}

// idOrNull is NULL for the zero UUID.
func idOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return [16]byte(id)
}

// instant reads a time in UTC; NULL and infinity are the zero one.
type instant time.Time

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (i *instant) ScanTimestamptz(v pgtype.Timestamptz) error {
	*i = instant{}
	if v.Valid && v.InfinityModifier == pgtype.Finite {
		*i = instant(v.Time.UTC())
	}
	return nil
}

// stamp rounds up to what the database keeps, so that nothing is ever due before its time.
func stamp(t time.Time) time.Time {
	if rest := t.Nanosecond() % 1000; rest != 0 {
		return t.Add(time.Duration(1000 - rest))
	}
	return t
}

// optional is a time of an array; the zero one is NULL.
func optional(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: stamp(t), Valid: !t.IsZero()}
}

// forever is a time of an array; the zero one is infinity.
func forever(t time.Time) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{Valid: true, InfinityModifier: pgtype.Infinity}
	}
	return optional(t)
}

// timeOrNull is NULL for the zero time.
func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// textOrNull is NULL for no text.
func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// deadline is the place's deadline as the database orders it.
func (p *waitPlace) deadline() pgtype.Timestamptz {
	return forever(p.Deadline)
}
