package store

import (
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
)

// Counter names what amounts are drawn from. Two counters with the same Name and different
// executions do not see each other.
type Counter struct {
	Of   ID // the execution that it belongs to, with which it is removed; zero: to nobody
	Name string
}

// Draw is an amount taken from a counter. It counts from the moment at which it is taken, by the store's
// clock, for as long as For says, whatever becomes of who took it, or until it is settled to
// less. With For zero it counts for as long as the execution that the counter belongs to is there.
type Draw struct {
	Counter
	Amount int64
	Limit  int64 // refused if the sum of what counts would exceed it
	For    time.Duration
}

// Drawing takes amounts from counters: all or nothing, in one transaction of its own, which no
// lease or epoch guards.
//
// It is idempotent by ID: of a counter on which the ID counts already nothing is taken, whatever the
// amount, and an ID that was settled is known for SettledFor. So asking again after an unknown outcome is harmless.
type Drawing struct {
	ID    string
	Draws []Draw // at most MaxDraws, each of another counter
}

// Drawn answers Draw. Its Code is the first that fits of: NotFound, if an execution that a counter belongs to
// is not there; Landed, if the ID counted on all of them before; Full; Applied.
type Drawn struct {
	Now  time.Time
	Code Code
	// Counter is the first, in the order of the drawing, that had no room.
	Counter Counter
	// At is, for Full, the time at which all would fit if nobody takes or settles anything meanwhile;
	// zero if time alone does not help.
	At time.Time
}

// Settling replaces what an ID took from counters by what it turned out to be, which may be more than
// the limit. What is settled counts until the same time, or up to a 64th of its For longer. What is not there, has been settled before or
// counts no more stays as it is.
type Settling struct {
	ID      string
	Amounts []Settled // at most MaxDraws, each of another counter
}

// Settled is the true amount that was taken from a counter.
type Settled struct {
	Counter
	Amount int64
}

// Count is what counts of a counter.
type Count struct {
	Now  time.Time
	All  int64
	Open int64 // the part of All that is not settled
}

// Limits of drawings, with their reasons.
const (
	MaxDraws   = 16                   // a transaction stays small
	MaxAmount  = 1 << 50              // sums stay far from overflow
	MaxFor     = 10 * 366 * day       // what counts for longer is of no use to anybody
	SettledFor = 2 * time.Minute      // longer than a lost request can be on its way
	SweepDraws = 2 * MaxDraws         // removed with each drawing, of those whose time is over: more than it adds
	maxDrawn   = 500                  // bytes of a name, which is in an index
	day        = 24 * time.Hour       //
	grains     = 64                   // settled amounts of one For lie in so many rows
	Never      = int64(math.MaxInt64) // when something ends that has no end, in microseconds since 1970
)

// Check refuses what no state of a database could make right, as Draw must. The error wraps
// ErrRefused.
func (d *Drawing) Check() error {
	list := make([]Counter, len(d.Draws))
	for i, x := range d.Draws {
		list[i] = x.Counter
		switch {
		case x.Amount < 0 || x.Amount > MaxAmount || x.Limit < 0:
			return fmt.Errorf("a draw of %d from %q of %d: %w", x.Amount, x.Name, x.Limit, ErrRefused)
		case x.For < 0 || x.For > MaxFor:
			return fmt.Errorf("a draw from %q for %s: %w", x.Name, x.For, ErrRefused)
		case x.For == 0 && x.Of == uuid.Nil:
			return fmt.Errorf("a draw from %q, which belongs to nobody, for ever: %w", x.Name, ErrRefused)
		}
	}
	return checkCounters(d.ID, list)
}

// Check refuses what no state of a database could make right, as Settle must. The error wraps
// ErrRefused.
func (s *Settling) Check() error {
	list := make([]Counter, len(s.Amounts))
	for i, x := range s.Amounts {
		list[i] = x.Counter
		if x.Amount < 0 || x.Amount > MaxAmount {
			return fmt.Errorf("%d settled on %q: %w", x.Amount, x.Name, ErrRefused)
		}
	}
	return checkCounters(s.ID, list)
}

func checkCounters(id string, list []Counter) error {
	if id == "" || len(id) > maxDrawn {
		return fmt.Errorf("a drawing with an ID of %d bytes: %w", len(id), ErrRefused)
	}
	if len(list) == 0 || len(list) > MaxDraws {
		return fmt.Errorf("a drawing on %d counters: %w", len(list), ErrRefused)
	}
	seen := make(map[Counter]bool, len(list))
	for _, c := range list {
		if c.Name == "" || len(c.Name) > maxDrawn || seen[c] {
			return fmt.Errorf("a drawing on %.100q: the name is empty, too long, or there twice: %w", c.Name, ErrRefused)
		}
		seen[c] = true
	}
	return nil
}

// Until is when a draw ends that is taken at a time, both in microseconds since 1970.
func (d *Draw) Until(now int64) int64 {
	if d.For == 0 {
		return Never
	}
	return now + d.Span()
}

// Span is For in microseconds, rounded up.
func (d *Draw) Span() int64 { return int64((d.For + time.Microsecond - 1) / time.Microsecond) }

// Grain is when a settled amount ends, of which the draw ended at a time: as many others do, so that they are
// one row.
func Grain(until, span int64) int64 {
	g := max(span/grains, 1)
	if until > Never-g {
		return Never
	}
	return (until + g - 1) / g * g
}
