package durable

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Draw is an amount to be taken from a named counter, which all workers on one database
// share: requests, tokens, money, calls at once.
//
// For says how long the amount counts, from when it is taken on, whatever becomes of who took it. A rate is a
// Limit for the time of its window: no span of time that is shorter sees more than Limit taken. A number of calls at
// once is a Limit for longer than any call takes, each settled with 0 at its end. A budget of a run is
// a counter of its own, Run, for ever.
type Draw struct {
	Counter string // up to 200 bytes
	Run     ID     // the run that the counter belongs to and is removed with; zero: to nobody
	Amount  int64  // 0 takes nothing, and fits as long as the limit is not passed
	Limit   int64  // the most that may count at once; each draw brings its own
	For     time.Duration
}

// Taken answers Take.
type Taken struct {
	OK bool
	ID string // by which it is settled
	// Counter is the first that had no room, if OK is false; RetryIn is how long it takes until all would fit, if
	// nobody takes or settles anything meanwhile. Zero: time alone does not help, since the amount is above the limit
	// or what counts has no end.
	Counter string
	RetryIn time.Duration
}

// Take takes amounts from counters, all or nothing, in a small transaction of its own: it is not part of what the step
// records. Call it before what costs, and Settle afterwards with what it really was.
//
// name is that of this taking within the attempt of the step: the same name takes once in an
// attempt, also if the body waits in between and runs again, or the reply was lost. Another attempt takes anew. So when
// the process dies between Take and Settle, the amount goes on counting for its time: nobody knows whether it was spent.
//
// It may be called in the functions of Do and All too, and is no durable call. While the database is away
// it waits. A draw that fits nowhere is no error: sleep for RetryIn, which holds no slot, and take again. Errors: ErrNotInStep, ErrInvalid, and
// that of a context which ended before it was known whether the amounts were taken: then Taken has the ID, and whoever does not
// go on settles it, in a context of its own. Of what was not taken that is passed over.
func Take(ctx context.Context, name string, draws ...Draw) (Taken, error) {
	b := bodyOf(ctx)
	if b == nil {
		return Taken{}, fmt.Errorf("%w: Take %q: the context is not that of a step; use engine.Take", ErrNotInStep, name)
	}
	if m := tree.TextMistake(name); m != "" {
		return Taken{}, fmt.Errorf("Take: %w: the name is bad: %s", ErrInvalid, m)
	}
	item, _ := ctx.Value(itemKey{}).(string)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%s\x00%s", b.h.Execution, b.h.Path, b.h.Generation, b.h.Attempt, item, name))
	return b.engine.take(ctx, hex.EncodeToString(sum[:16]), draws, true)
}

// TakeOnce is Take for the function of a Do whose result says that the amounts were taken, if nothing of them is spent before
// that is recorded. It is known by its name and that call of the visit, whatever the attempt: when the process dies before
// the record, the next attempt finds what was taken, and takes nothing more. Outside of a Do it is known by its name and the visit of the step.
//
// Once it is settled, by the ID that it returns, the same name takes nothing more for two minutes. So settle after the record only,
// also with 0: what was taken for a record that is never made goes on counting. Errors: as those of Take.
func TakeOnce(ctx context.Context, name string, draws ...Draw) (Taken, error) {
	b := bodyOf(ctx)
	if b == nil {
		return Taken{}, fmt.Errorf("%w: TakeOnce %q: the context is not that of a step; use engine.Take", ErrNotInStep, name)
	}
	if m := tree.TextMistake(name); m != "" {
		return Taken{}, fmt.Errorf("TakeOnce: %w: the name is bad: %s", ErrInvalid, m)
	}
	item, _ := ctx.Value(itemKey{}).(string)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00once\x00%s\x00%s\x00%s", b.h.Execution, b.h.Path, b.h.Generation, b.at, item, name))
	return b.engine.take(ctx, hex.EncodeToString(sum[:16]), draws, true)
}

// Settle says what the amounts that Take took have turned out to be: Amount of each draw, whose Limit
// and For do not matter. It may be more than the limit; 0 gives all back. It counts as long as what was taken, or up to a 64th of
// that longer. The first settling of an ID on a counter stands; what was never taken, or counts no more, is passed over.
//
// It may be called where Take may be, also in a later attempt.
func Settle(ctx context.Context, id string, draws ...Draw) error {
	b := bodyOf(ctx)
	if b == nil {
		return fmt.Errorf("%w: Settle: the context is not that of a step; use engine.Settle", ErrNotInStep)
	}
	return b.engine.settle(ctx, id, draws, true)
}

// Take is the function Take, from outside of steps. The same id takes once, until it is settled and for
// two minutes after that; each try of something new needs an id of its own, up to 200 bytes. After an error, except ErrInvalid, it is
// unknown whether it took: asking again with the same id is harmless, and so is settling it.
func (e *Engine) Take(ctx context.Context, id string, draws ...Draw) (Taken, error) {
	return e.take(ctx, id, draws, false)
}

// Settle is the function Settle, from outside of steps. After an error asking again is harmless.
func (e *Engine) Settle(ctx context.Context, id string, draws ...Draw) error {
	return e.settle(ctx, id, draws, false)
}

// Count is what counts of a counter.
type Count struct {
	All  int64 `json:"all"`
	Open int64 `json:"open"` // the part that is not settled
}

// Counted is Engine.Counter, for steps. It differs from time to time, so what is decided by it belongs into a Do. While the
// database is away it waits. Errors: ErrNotInStep.
func Counted(ctx context.Context, run ID, name string) (n Count, err error) {
	b := bodyOf(ctx)
	if b == nil {
		return Count{}, fmt.Errorf("%w: Counted %q: the context is not that of a step; use engine.Counter", ErrNotInStep, name)
	}
	err = persist(ctx, func() (err error) {
		n, err = b.engine.Counter(ctx, run, name)
		return err
	})
	return n, err
}

// Counter returns what counts of a counter at this moment. run is the one that it belongs to; zero: nobody.
func (e *Engine) Counter(ctx context.Context, run ID, name string) (Count, error) {
	n, err := e.store.Count(ctx, store.Counter{Of: run, Name: name})
	if err != nil {
		return Count{}, fmt.Errorf("counter %q: %w", name, err)
	}
	return Count{n.All, n.Open}, nil
}

func (e *Engine) take(ctx context.Context, id string, draws []Draw, patient bool) (Taken, error) {
	req := store.Drawing{ID: id}
	for _, d := range draws {
		req.Draws = append(req.Draws, store.Draw{Counter: store.Counter{Of: d.Run, Name: d.Counter}, Amount: d.Amount, Limit: d.Limit, For: d.For})
	}
	err := checkDraws(id, draws)
	if err == nil {
		err = req.Check()
	}
	if err != nil {
		return Taken{}, fmt.Errorf("Take: %w: %w", ErrInvalid, err)
	}
	var res store.Drawn
	err = e.counting(ctx, patient, func() (err error) {
		res, err = e.store.Draw(ctx, req)
		return err
	})
	t := Taken{ID: id}
	if err != nil {
		return t, fmt.Errorf("Take: %w", err) // it may have landed
	}
	switch res.Code {
	case store.Applied, store.Landed:
		t.OK = true
	case store.NotFound:
		return Taken{}, fmt.Errorf("Take: the run that a counter belongs to: %w", ErrNotFound)
	default:
		t.Counter = res.Counter.Name
		if !res.At.IsZero() {
			t.RetryIn = max(res.At.Sub(res.Now), time.Microsecond)
		}
	}
	return t, nil
}

func (e *Engine) settle(ctx context.Context, id string, draws []Draw, patient bool) error {
	req := store.Settling{ID: id}
	for _, d := range draws {
		req.Amounts = append(req.Amounts, store.Settled{Counter: store.Counter{Of: d.Run, Name: d.Counter}, Amount: d.Amount})
	}
	err := checkDraws(id, draws)
	if err == nil {
		err = req.Check()
	}
	if err != nil {
		return fmt.Errorf("Settle: %w: %w", ErrInvalid, err)
	}
	if err := e.counting(ctx, patient, func() error { return e.store.Settle(ctx, req) }); err != nil {
		return fmt.Errorf("Settle: %w", err)
	}
	return nil
}

// counting asks the store: of who is patient until it answers, or nobody wants to know any more.
func (e *Engine) counting(ctx context.Context, patient bool, ask func() error) error {
	var refused error
	err := ask()
	if err == nil || !patient || errors.Is(err, store.ErrRefused) {
		return err
	}
	err = persist(ctx, func() error {
		if refused = ask(); errors.Is(refused, store.ErrRefused) {
			return nil
		}
		return refused
	})
	return errors.Join(err, refused)
}

func checkDraws(id string, draws []Draw) error {
	if m := tree.TextMistake(id); m != "" {
		return fmt.Errorf("the id is bad: %s", m)
	}
	for _, d := range draws {
		if m := tree.TextMistake(d.Counter); m != "" {
			return fmt.Errorf("the counter %.80q: the name is bad: %s", d.Counter, m)
		}
	}
	return nil
}
