package durabletest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/durable-go/durable"
)

// Started is a run under test, with the type of its state.
type Started[S any] struct {
	ID durable.ID
	// Existing says that its key was used before: it is that run.
	Existing bool

	e *Engine
	w *durable.Workflow[S]
}

// Start starts the workflow. A refused start fails the test. If the engine
// crashes meanwhile (CrashAfter), it starts again: with a durable.Key it
// happens once.
func Start[S any](e *Engine, w *durable.Workflow[S], input S, opts ...durable.StartOption) *Started[S] {
	e.world.t.Helper()
	for {
		run, err := w.Start(context.Background(), e.Engine, input, opts...)
		if err != nil && e.link.IsCut() {
			e.world.revive()
			continue
		}
		if err != nil {
			e.world.t.Fatal(err)
		}
		return &Started[S]{ID: run.ID, Existing: run.Existing, e: e, w: w}
	}
}

// Attach is a run that something else has begun: a fork, a child.
func Attach[S any](e *Engine, w *durable.Workflow[S], id durable.ID) *Started[S] {
	return &Started[S]{ID: id, Existing: true, e: e, w: w}
}

// On is the same run as another engine sees it.
func (r *Started[S]) On(e *Engine) *Started[S] {
	return &Started[S]{ID: r.ID, Existing: true, e: e, w: r.w}
}

// Look is what is known of the run now, with its steps.
func (r *Started[S]) Look() *durable.Execution {
	r.e.world.t.Helper()
	x, err := r.e.Execution(context.Background(), r.ID, durable.WithSteps)
	if err != nil {
		r.e.world.t.Fatal(err)
	}
	return x
}

// Waits are the names of what the run waits for from outside: events, inputs,
// approvals. Sleeps and calls of children are not in it.
func (r *Started[S]) Waits() []string {
	r.e.world.t.Helper()
	waits, err := r.e.OpenWaits(context.Background(), r.ID)
	if err != nil {
		r.e.world.t.Fatal(err)
	}
	var names []string
	for _, w := range waits {
		if w.Kind != "sleep" && w.Kind != "call" {
			names = append(names, w.Name)
		}
	}
	return names
}

// Settle lets time pass until the run has ended, is blocked, or waits for an
// event or an answer that no script gives. Sleeps, backoffs and starts in the
// future are passed over. A wait with a timeout is stopped at too; Sleep then
// lets it time out.
func (r *Started[S]) Settle() *durable.Execution {
	r.e.world.t.Helper()
	return r.until(func(x *durable.Execution) bool {
		return waits(x) && (x.Status == durable.Waiting || x.Due.IsZero() || x.Due.After(time.Now())) && len(r.Waits()) > 0 || r.stuck(x)
	})
}

// End lets time pass until the run has ended or is blocked, timeouts of waits
// included. A run that waits for somebody for ever fails the test. The error is
// that of durable.Run.Wait: a *durable.RunError unless the run completed.
func (r *Started[S]) End() (S, error) {
	r.e.world.t.Helper()
	x := r.until(r.stuck)
	switch {
	case waits(x):
		r.e.world.t.Fatalf("run %s waits for %s, and nobody answers", r.ID, strings.Join(r.Waits(), ", "))
	case x.Status == durable.Blocked:
		r.e.world.t.Fatalf("run %s is blocked: %v", r.ID, x.Error)
	}
	return r.w.Attach(r.e.Engine, r.ID).Wait(context.Background())
}

// waits tells whether a run waits, in a step or in a compensation.
func waits(x *durable.Execution) bool {
	return x.Status == durable.Waiting || x.Status == durable.Compensating && x.Worker == ""
}

// Done is End for a run that must complete: it returns the last state.
func (r *Started[S]) Done() S {
	r.e.world.t.Helper()
	s, err := r.End()
	if err != nil {
		r.e.world.t.Fatal(err)
	}
	return s
}

// Fails is End for a run that must not complete: it returns how it ended.
func (r *Started[S]) Fails() *durable.RunError {
	r.e.world.t.Helper()
	s, err := r.End()
	var end *durable.RunError
	if !errors.As(err, &end) {
		r.e.world.t.Fatalf("run %s ended with %+v and error %v, want a RunError", r.ID, s, err)
	}
	return end
}

// stuck tells whether a run waits for ever, and so do all of its children that are open.
func (r *Started[S]) stuck(x *durable.Execution) bool {
	if !waits(x) || !x.Due.IsZero() {
		return false
	}
	for _, c := range r.openChildren(x.ID) {
		if !r.stuck(c) {
			return false
		}
	}
	return !r.e.link.IsCut() // else nobody could say which children are open
}

// due is when a run or one of its children goes on by itself.
func (r *Started[S]) due(x *durable.Execution) time.Time {
	at := x.Due
	if waits(x) {
		for _, c := range r.openChildren(x.ID) {
			if d := r.due(c); !d.IsZero() && (at.IsZero() || d.Before(at)) {
				at = d
			}
		}
	}
	return at
}

func (r *Started[S]) openChildren(id durable.ID) []*durable.Execution {
	r.e.world.t.Helper()
	page, err := r.e.Executions(context.Background(), durable.Filter{
		Parent: id, Limit: 1000,
		Statuses: []durable.Status{durable.Pending, durable.Running, durable.Waiting, durable.Compensating},
	})
	if err != nil && !r.e.link.IsCut() {
		r.e.world.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return page.Executions
}

// until lets time pass until the run has ended, is blocked, or stop says so.
func (r *Started[S]) until(stop func(x *durable.Execution) bool) *durable.Execution {
	r.e.world.t.Helper()
	hurry := time.NewTimer(patience)
	defer hurry.Stop()
	for {
		news := r.e.world.news()
		r.e.world.step()
		x, err := r.e.Execution(context.Background(), r.ID)
		switch {
		case err != nil && r.e.link.IsCut():
			continue
		case err != nil:
			r.e.world.t.Fatal(err)
		case x.Status.Ended(), x.Status == durable.Blocked, stop(x):
			return r.Look()
		}
		hurry.Reset(max(0, time.Until(r.due(x))) + patience)
		select {
		case <-news:
		case <-hurry.C:
			r.e.world.t.Fatalf("run %s is %s and stands still:%s", r.ID, x.Status, describe(r.Look()))
		}
	}
}

// describe lists the steps of a run.
func describe(x *durable.Execution) string {
	var b strings.Builder
	for _, s := range x.Steps {
		fmt.Fprintf(&b, "\n  %s, attempt %d: %s", s.Path, s.Attempt, s.Status)
	}
	return b.String()
}
