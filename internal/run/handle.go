package run

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Handle is a running body's way back to the engine.
type Handle struct {
	*Visit
	runner    *Runner
	worker    *Worker // that began it; a later one has other slots
	ctx       context.Context
	cancel    context.CancelCauseFunc
	reply     chan CallReply
	self      uintptr // of the body's goroutine
	suspended bool
	over      atomic.Bool
	stuck     atomic.Pointer[string] // why this code cannot go on
	stop      func()                 // ends the step's own timeout
	settled   bool                   // a transaction of the body has taken its end to the store
}

func (r *Runner) start(w *Worker, v *Visit) {
	ctx, cancel := context.WithCancelCause(r.base)
	h := &Handle{Visit: v, runner: r, worker: w, cancel: cancel, reply: make(chan CallReply, 1)}
	h.ctx = ctx
	v.Handle = h
	if v.Question != nil {
		go h.ask()
		return
	}
	fail.Point(fail.Tried)
	go h.body()
}

// body runs a step on its own goroutine, which a wait may end with Goexit.
func (h *Handle) body() {
	h.self = self()
	var (
		end      plan.Ending
		returned bool
	)
	h.stop = func() {}
	defer func() {
		h.stop()
		end = h.judge(end, returned, recover())
		h.over.Store(true)
		late := errors.Is(context.Cause(h.ctx), ErrStepTimeout)
		h.cancel(errors.New("the step is over"))
		if h.settled {
			return
		}
		if late && !h.suspended {
			end = timedOut(h.Visit)
		}
		h.end(func(w *Worker, now time.Time) { w.Returned(h.Visit, end, h.suspended, now) })
	}()
	roomy()
	if h.Mode == plan.Undo {
		state, err := h.undoState()
		if err != nil {
			end, returned = h.unprepared(err), true
			return
		}
		h.State = state
	}
	h.stop = h.limit()
	fail.Point(fail.BodyBefore)
	end = h.runner.code.Body(h.ctx, h)
	fail.Point(fail.BodyAfter)
	returned = true
}

// unprepared is the end of a compensation that could not begin.
func (h *Handle) unprepared(err error) plan.Ending {
	if h.ctx.Err() == nil {
		return plan.Ending{Block: "what is to be undone cannot be read: " + err.Error()}
	}
	return plan.Ending{Err: &journal.Error{Code: "error", Path: h.Path, Attempt: h.Attempt, Message: err.Error()}}
}

// roomy lets the goroutine's stack grow once and now, while there is little on it
// to be moved, instead of several times on the way down into user code.
//
//go:noinline
func roomy() {
	var room [6 << 10]byte
	touch(room[:])
}

//go:noinline
func touch(b []byte) { b[0] = 1 }

// judge gives the ending of a body that did not return.
func (h *Handle) judge(end plan.Ending, returned bool, panicked any) plan.Ending {
	switch {
	case h.stuck.Load() != nil:
		return plan.Ending{Block: *h.stuck.Load()}
	case panicked != nil:
		h.suspended = false
		return plan.Ending{Err: PanicError(panicked, h.Path, h.Attempt)}
	case !returned && !h.suspended:
		return plan.Ending{Err: &journal.Error{
			Code: "error", Path: h.Path, Attempt: h.Attempt,
			Message: "the step ended its goroutine without returning (runtime.Goexit); return an error instead",
		}}
	}
	return end
}

// PanicError is the error of a recovered panic. It must be called while the
// stack is there.
func PanicError(v any, path string, attempt int) *journal.Error {
	return &journal.Error{Code: "panic", Path: path, Attempt: attempt, Message: "panic: " + printed(v), Stack: string(debug.Stack())}
}

// maxPanicText is how much of a panic's text is kept: recording it must not fail.
const maxPanicText = 64<<10 - 100

// printed prints a panic value, also one whose own printing panics. What is
// too long is cut, what is no text is mended.
func printed(v any) (s string) {
	defer func() {
		if recover() != nil {
			s = fmt.Sprintf("a value of type %T that panics when printed", v)
		}
	}()
	s = fmt.Sprint(v)
	if len(s) > maxPanicText {
		s = s[:maxPanicText] + " … (cut)"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// timeout is how long one run of a body may take. What limits a step does not
// limit its compensation.
func timeout(v *Visit) time.Duration {
	if v.Node.Timeout == 0 || v.Mode == plan.Undo {
		return tree.DefaultTimeout
	}
	return v.Node.Timeout
}

// limit ends the body's context when its time is over.
func (h *Handle) limit() (stop func()) {
	d := timeout(h.Visit)
	if d < 0 {
		return func() {}
	}
	t := time.AfterFunc(d, func() {
		h.cancel(ErrStepTimeout)
		h.runner.log.Warn("a step ran into its timeout", "execution", h.Execution.String(), "path", h.Path, "timeout", d)
		h.event(func(w *Worker, now time.Time) { w.TimedOut(h.Visit, now) })
	})
	return func() { t.Stop() }
}

// ask runs a question.
func (h *Handle) ask() {
	var (
		a        Answered
		answered bool
	)
	defer func() {
		if p := recover(); p != nil {
			e := PanicError(p, h.Path, 0)
			e.Code = h.Question.Code()
			a = Answered{Err: e}
		} else if !answered {
			a = Answered{Err: &journal.Error{Code: h.Question.Code(), Path: h.Path, Message: "the question ended its goroutine without an answer"}}
		}
		h.cancel(errors.New("the question is answered"))
		h.end(func(w *Worker, now time.Time) { w.Answered(h.Visit, a, now) })
	}()
	a = h.runner.code.Ask(h.ctx, h.Visit)
	answered = true
}

// event runs fn on the worker that began the visit, if it still works.
func (h *Handle) event(fn func(w *Worker, now time.Time)) (ran bool) {
	h.runner.event(func(w *Worker, now time.Time) {
		if w == h.worker {
			ran = true
			fn(w, now)
		}
	})
	return ran
}

// end tells the worker that user code has ended. One that came after it has only
// its slot to get back.
func (h *Handle) end(fn func(w *Worker, now time.Time)) {
	if !h.event(fn) {
		h.runner.gone(h.Visit)
	}
}

// GiveUp ends the body: this code cannot go on with what is recorded, so the
// run is to be blocked. It does not return. It may be called on a goroutine that the body waits for.
func (h *Handle) GiveUp(why string) {
	h.stuck.Store(&why)
	h.cancel(ErrSuspended)
	runtime.Goexit()
}

// Context is the body's own context.
func (h *Handle) Context() context.Context { return h.ctx }

// Log keeps a log entry.
func (h *Handle) Log(l store.Log) {
	h.event(func(w *Worker, now time.Time) { w.Log(h.Visit, l, now) })
}

// Misuse tells what is wrong with a durable call made now on this goroutine;
// nil if nothing.
func (h *Handle) Misuse() error {
	switch {
	case self() != h.self:
		return errors.New("a durable call must be made on the goroutine of its step, not on one that the step started")
	case h.over.Load(): // this goroutine has the place of the body's
		return errors.New("the step has returned; a durable call must be made before that")
	case h.suspended:
		return errors.New("the step is being suspended; deferred functions cannot make durable calls")
	}
	return nil
}

// Call makes a call durable and returns its record. If the call must wait, it
// ends the goroutine and does not return.
func (h *Handle) Call(c *CallRequest) (*journal.Call, error) {
	if !h.event(func(w *Worker, now time.Time) { w.Call(h.Visit, c, now) }) {
		return nil, ErrGone
	}
	r := <-h.reply
	if r.Suspend {
		h.suspended = true
		h.cancel(ErrSuspended)
		runtime.Goexit()
	}
	if r.Err == nil && !c.Tx { // the body may be done again in this visit
		if h.Calls == nil {
			h.Calls = make(map[string]*journal.Call)
		}
		h.Calls[c.Key] = r.Call
	}
	return r.Call, r.Err
}
