package ai

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// draw is an amount from a counter that all workers share.
type draw struct {
	run     [16]byte // to which the counter belongs; zero: to nobody
	counter string
	amount  int64
	limit   int64
	lasts   time.Duration
	kind    drawKind
}

type drawKind uint8

const (
	coolDraw drawKind = iota
	requestDraw
	inputDraw
	outputDraw
	placeDraw
)

// counting is a journal whose store counts over all workers.
type counting interface {
	// take takes all or nothing. Of what has no room it says which counter that is, and how long it takes until there
	// is room; zero if time alone makes none.
	take(ctx context.Context, name string, draws []draw) (id string, ok bool, counter string, wait time.Duration, err error)
	// giveBack says what the amounts have turned out to be.
	giveBack(ctx context.Context, id string, draws []draw) error

	// takeOnce is take for a record that is being made: whoever makes it after a crash finds what was taken.
	takeOnce(ctx context.Context, name string, draws []draw) (id string, ok bool, counter string, err error)
	// count is what counts of a counter of a run.
	count(ctx context.Context, run [16]byte, counter string) (int64, error)
	// line is the run of the step, and then those above it.
	line(ctx context.Context) ([]ancestor, error)
	// history is what the steps of the run have recorded.
	history(ctx context.Context) ([]entry, error)
}

// ancestor is a run, or one above it.
type ancestor struct {
	id       [16]byte
	run      string
	workflow string
}

const (
	longestCall = 15 * time.Minute // for so long a request counts as on its way, if nobody says that it has ended
	sharedRest  = 5 * time.Second  // before a call looks for one of few places again
)

// loan is what a request has taken from shared counters.
type loan struct {
	j     counting
	id    string
	draws []draw
}

// coolCounter is where a bucket's cool-downs count, for all workers.
func coolCounter(bucket string) string { return "ai:" + hashOf([]byte(bucket))[:32] + ":cool" }

// draws are what a request takes from the counters that its model shares with others.
func (r *rates) draws(o *opened, input, output int64) []draw {
	list := []draw{{counter: coolCounter(o.bucket), lasts: time.Minute, kind: coolDraw}} // it fits when nothing counts there
	for _, pattern := range r.patterns(o) {
		l := r.limit[pattern]
		var none [16]byte
		at := "ai:" + hashOf([]byte(o.bucket + "\x00" + pattern))[:32]
		for _, d := range []draw{
			{none, at + ":requests", 1, l.Requests, time.Minute, requestDraw},
			{none, at + ":input", min(input, l.Input), l.Input, time.Minute, inputDraw}, // what is above the whole limit goes alone
			{none, at + ":output", min(output, l.Output), l.Output, time.Minute, outputDraw},
			{none, at + ":busy", 1, int64(l.Concurrent), longestCall, placeDraw},
		} {
			if d.limit > 0 {
				list = append(list, d)
			}
		}
	}
	return list
}

// borrow takes a request's part of what all workers share, or says for how long to wait.
func (a *asking) borrow(ctx context.Context, input, output int64) (time.Duration, error) {
	j, ok := a.j.(counting)
	if !ok || !a.c.cfg.Shared {
		return 0, nil
	}
	draws := a.c.rates.draws(&a.open, input, output)
	id, ok, counter, wait, err := j.take(ctx, takeName(), draws)
	switch {
	case err != nil:
		return 0, err
	case ok:
		a.loan = &loan{j, id, draws}
		return 0, nil
	case counter == coolCounter(a.open.bucket): // for how long that alone takes
		if _, _, _, wait, err = j.take(ctx, takeName(), draws[:1]); err != nil {
			return 0, err
		}
		wait = max(wait, time.Second)
	case strings.HasSuffix(counter, ":busy") || wait <= 0: // a place is free when somebody is done
		wait = sharedRest
	case wait > time.Minute: // until places are free by themselves: they are before that
		wait = 3 * sharedRest
	}
	return wait + time.Duration(rand.Int64N(int64(wait)/10+1)), nil
}

// takeName is nobody else's: who dies before a try is marked has taken for nothing, and takes anew.
func takeName() string { return fmt.Sprintf("ai:%016x%016x", rand.Uint64(), rand.Uint64()) }

// repay says what a request has used. Without a usage nothing was, but the request; all says that the request
// was not sent.
func (a *asking) repay(ctx context.Context, u *Usage, all bool) {
	l := a.loan
	if l == nil {
		return
	}
	a.loan = nil
	var list []draw
	input, output := used(u, a.open.spec.provider)
	for _, d := range l.draws {
		switch d.kind {
		case coolDraw:
			continue
		case requestDraw:
			if !all {
				continue
			}
			d.amount = 0
		case inputDraw:
			d.amount = input
		case outputDraw:
			d.amount = output
		case placeDraw:
			d.amount = 0
		}
		list = append(list, d)
	}
	if len(list) == 0 {
		return
	}
	if err := l.j.giveBack(ctx, l.id, list); err != nil { // it counts until its time is over
		logger(ctx).Warn("the use of a model's limits could not be settled", "err", a.c.redact(err.Error()))
	}
}

// vacate gives the place of a request back of whose answer nothing is known.
func (a *asking) vacate(ctx context.Context) {
	l := a.loan
	if a.loan = nil; l == nil || ctx.Err() != nil {
		return
	}
	for _, d := range l.draws {
		if d.kind == placeDraw {
			d.amount = 0
			_ = l.j.giveBack(ctx, l.id, []draw{d}) // else it is free when its time is over
		}
	}
}

// coolEverywhere keeps all workers from sending with a key for a time.
func (a *asking) coolEverywhere(ctx context.Context, d time.Duration) {
	j, ok := a.j.(counting)
	if !ok || !a.c.cfg.Shared {
		return
	}
	_, _, _, _, err := j.take(ctx, takeName(), []draw{{counter: coolCounter(a.open.bucket), amount: 1, limit: 1 << 40, lasts: d, kind: coolDraw}})
	if err != nil {
		logger(ctx).Warn("a rate limit could not be told to the other workers", "err", a.c.redact(err.Error()))
	}
}
