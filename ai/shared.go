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
	// is room; zero if time alone makes none. An error with an id says that nobody knows.
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

// restDraw is the draw of nothing that fits when a key need not rest.
func restDraw(bucket string) draw {
	return draw{counter: coolCounter(bucket), lasts: time.Minute, kind: coolDraw}
}

// draws are what a request takes from the counters that its model shares with others.
func (r *rates) draws(o *opened, input, output int64) []draw {
	list := []draw{restDraw(o.bucket)}
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

// admitted takes a request's part of the rates, or says for how long to wait.
func (a *asking) admitted(ctx context.Context, m *mark) (*refusal, error) {
	if err := a.learn(ctx); err != nil {
		return nil, err
	}
	t := ticket{input: m.Input, output: m.Output, hurry: a.road.hurry}
	if a.info.CanWait {
		t.call = a.info.Execution + "\x00" + a.info.Path + "\x00" + a.name
	}
	pass, wait, q, err := a.c.rates.admit(ctx, &a.open, t)
	if pass != nil {
		a.pass = pass
		if wait, q, err = a.borrow(ctx, m.Input, m.Output); wait > 0 || err != nil {
			a.unadmit(ctx)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case wait <= 0:
		return nil, nil
	case q != ownTurn: // others wait for the same
		wait = a.road.patient(wait, m.At)
	}
	return &refusal{Wait: int64(wait), Cool: q == coolDown}, nil
}

// unadmit gives back what admitted has taken: nothing is sent.
func (a *asking) unadmit(ctx context.Context) {
	a.repay(ctx, nil, true)
	a.pass.undo()
	a.release(ctx)
}

// learn makes known for how long the key has to rest, if somebody has met a rate limit before this process was there.
func (a *asking) learn(ctx context.Context) error {
	j, ok := a.j.(counting)
	if !ok {
		return nil
	}
	return a.c.rates.learn(ctx, a.open.bucket, func() (time.Duration, error) {
		_, _, _, wait, err := j.take(ctx, takeName(), []draw{restDraw(a.open.bucket)})
		return wait, err
	})
}

// borrow takes a request's part of what all workers share, or says for how long to wait, and for what.
func (a *asking) borrow(ctx context.Context, input, output int64) (time.Duration, queue, error) {
	j, ok := a.j.(counting)
	if !ok || !a.c.cfg.Shared {
		return 0, 0, nil
	}
	draws := a.c.rates.draws(&a.open, input, output)
	if a.road.hurry {
		if draws = draws[1:]; len(draws) == 0 {
			return 0, 0, nil
		}
	}
	id, ok, counter, wait, err := j.take(ctx, takeName(), draws)
	if ok || err != nil && id != "" { // with an error it may be taken all the same
		a.loan = &loan{j, id, draws}
	}
	switch {
	case ok || err != nil:
		return 0, 0, err
	case counter == coolCounter(a.open.bucket): // for how long that alone takes
		if _, _, _, wait, err = j.take(ctx, takeName(), draws[:1]); err != nil {
			return 0, 0, err
		}
		return max(wait, time.Second), coolDown, nil
	case strings.HasSuffix(counter, ":busy") || wait <= 0: // a place is free when somebody is done
		wait = sharedRest
	case wait > time.Minute: // until places are free by themselves: they are before that
		wait = 3 * sharedRest
	}
	return wait, freePlace, nil
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
	ctx, cancel := lastly(ctx)
	defer cancel()
	if err := l.j.giveBack(ctx, l.id, list); err != nil { // it counts until its time is over
		logger(ctx).Warn("the use of a model's limits could not be settled", "err", a.c.redact(err.Error()))
	}
}

// vacate gives the place of a request back of whose answer nothing is known.
func (a *asking) vacate(ctx context.Context) {
	l := a.loan
	if a.loan = nil; l == nil {
		return
	}
	ctx, cancel := lastly(ctx)
	defer cancel()
	for _, d := range l.draws {
		if d.kind == placeDraw {
			d.amount = 0
			_ = l.j.giveBack(ctx, l.id, []draw{d}) // else it is free when its time is over
		}
	}
}

// lastly is a context for the last word of a body: it ends lastWord after the body's, whether that is over already or ends meanwhile.
func lastly(ctx context.Context) (context.Context, context.CancelFunc) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = sleep(last, lastWord)
		cancel()
	})
	return last, func() {
		stop()
		cancel()
	}
}

// coolEverywhere keeps from sending with a key for a time: all workers, if they share what they may ask, and else those that begin later.
func (a *asking) coolEverywhere(ctx context.Context, d time.Duration) {
	j, ok := a.j.(counting)
	if !ok {
		return
	}
	ctx, cancel := lastly(ctx)
	defer cancel()
	_, _, _, _, err := j.take(ctx, takeName(), []draw{{counter: coolCounter(a.open.bucket), amount: 1, limit: 1 << 40, lasts: d, kind: coolDraw}})
	if err != nil {
		logger(ctx).Warn("a rate limit could not be told to the other workers", "err", a.c.redact(err.Error()))
	}
}
