package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// ID names an execution: a UUIDv7, so ids sort by age.
type ID = uuid.UUID

// ParseID reads an ID as it is printed.
func ParseID(s string) (ID, error) {
	id, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("%q is not the id of a run: %w", s, err)
	}
	return id, nil
}

// Engine starts workflows, executes them while Run runs, and answers
// questions about them. Make one with Open. All methods may be called
// concurrently.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	store   store.Store
	runner  *run.Runner
	defs    map[[2]string]*definition
	first   map[string]*definition // by name: the version listed first
	hub     hub
	feeds   feeds
	parts   parts
	lineage lineage
	orphans orphans

	stop    chan struct{} // closed: stop in order
	stopNow chan struct{}
	once    [2]sync.Once
	closing atomic.Bool
	closed  chan struct{} // closed: Close is done

	gate    sync.Mutex // Run begins, or Stop finds none that could
	running sync.WaitGroup
}

// Open opens a store and returns an engine. All mistakes in the configuration
// and the workflows come back at once as a *DefinitionError. The engine can
// start and ask at once; it executes while Run runs. Close it in the end.
func Open(ctx context.Context, opener store.Opener, cfg Config) (*Engine, error) {
	e := &Engine{
		defs: make(map[[2]string]*definition), first: make(map[string]*definition),
		stop: make(chan struct{}), stopNow: make(chan struct{}), closed: make(chan struct{}), orphans: orphans{news: make(chan struct{}, 1)},
	}
	var mistakes DefinitionError
	if opener == nil {
		mistakes.add("Open", "the store is nil; use for example sqlite.Open(\"durable.db\")")
	}
	cfg.check(&mistakes)
	e.cfg, e.log = cfg, cfg.Logger
	e.define(&mistakes)
	if len(mistakes.Mistakes) > 0 {
		return nil, &mistakes
	}
	s, err := opener.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	e.store = s
	e.runner = run.NewRunner(s, (*code)(e), e.log)
	return e, nil
}

// define checks and registers the workflows.
func (e *Engine) define(mistakes *DefinitionError) {
	for i, w := range e.cfg.Workflows {
		if w == nil {
			mistakes.add(fmt.Sprintf("Config.Workflows[%d]", i), "it is nil")
			continue
		}
		d := w.definition()
		for _, m := range d.state.mistakes {
			mistakes.add("workflow "+d.tree.Name, "the state type "+d.typ.String()+": "+m)
		}
		mistakes.addTree(d.tree.Name, tree.Check(d.tree, e.cfg.declared))
		key := [2]string{d.tree.Name, d.tree.Version}
		if e.defs[key] != nil {
			mistakes.add("workflow "+d.tree.Name, fmt.Sprintf("two workflows have this name and version %q; give one another version", d.tree.Version))
		}
		e.defs[key] = d
		if e.first[d.tree.Name] == nil {
			e.first[d.tree.Name] = d
		}
		for _, item := range d.items() {
			e.defs[[2]string{item.tree.Name, item.tree.Version}] = item
		}
	}
	e.checkChildren(mistakes)
}

// checkChildren refuses nodes that run workflows which this engine does not have.
func (e *Engine) checkChildren(mistakes *DefinitionError) {
	for _, w := range e.cfg.Workflows {
		if w == nil {
			continue
		}
		d := w.definition()
		var list []tree.Mistake
		for n, child := range d.codes.children {
			c := child.workflow.definition().tree
			if e.defs[[2]string{c.Name, c.Version}] == nil {
				list = append(list, tree.Mistake{Path: n.Place, Text: fmt.Sprintf("workflow %q version %q is not in Config.Workflows; add it", c.Name, c.Version)})
			}
			for _, err := range e.startMistakes(&child.with) {
				list = append(list, tree.Mistake{Path: n.Place, Text: "With: " + err.Error()})
			}
		}
		slices.SortStableFunc(list, func(a, b tree.Mistake) int { return strings.Compare(a.Path, b.Path) })
		mistakes.addTree(d.tree.Name, list)
	}
}

// Run executes until ctx ends, or Stop or StopNow is called: then it takes no
// new work, gives running steps the ShutdownGrace, ends their contexts, hands
// every run over so that other workers go on at once, and returns nil. Values
// of ctx are visible in every step.
func (e *Engine) Run(ctx context.Context) error {
	if !e.enter() {
		return nil
	}
	defer e.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-e.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	cfg := run.Config{
		Name: e.cfg.Name, Queues: e.cfg.served(), Lease: e.cfg.Lease,
		Grace: e.cfg.ShutdownGrace, HungAfter: e.cfg.HungAfter, JournalLimit: maxFacts, StateLimit: e.cfg.MaxPayload, Accept: accept,
	}
	for _, d := range e.defs {
		cfg.Definitions = append(cfg.Definitions, &run.Definition{Tree: d.tree, Fingerprint: d.fingerprint})
	}
	tidying, end := context.WithCancel(context.WithoutCancel(ctx)) // the worker ends runs while it stops, too
	var tidy sync.WaitGroup
	tidy.Go(func() { e.retain(ctx) })
	tidy.Go(func() { e.cancelOrphans(tidying) })
	defer tidy.Wait()
	defer end()
	defer cancel()
	return e.runner.Run(ctx, cfg, e.stopNow)
}

// enter counts a Run that begins; false: the engine was stopped before.
func (e *Engine) enter() bool {
	e.gate.Lock()
	defer e.gate.Unlock()
	select {
	case <-e.stop:
		return false
	default:
		e.running.Add(1)
		return true
	}
}

// shut lets no further Run begin.
func (e *Engine) shut() {
	e.gate.Lock()
	defer e.gate.Unlock()
	e.once[0].Do(func() { close(e.stop) })
}

// Stop stops Run as the end of its context does, and waits for it until ctx
// ends. Stopping twice, or an engine that does not run, is harmless.
func (e *Engine) Stop(ctx context.Context) error {
	e.shut()
	done := make(chan struct{})
	go func() {
		e.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the engine has not stopped yet: %w", context.Cause(ctx))
	}
}

// StopNow stops Run and ends the contexts of running steps at once, without
// the grace. It does not wait; Stop does.
func (e *Engine) StopNow() {
	e.once[1].Do(func() { close(e.stopNow) })
	e.shut()
}

// Close stops the engine and releases the store. Running steps get the grace.
func (e *Engine) Close() error {
	if !e.closing.CompareAndSwap(false, true) {
		<-e.closed
		return nil
	}
	defer close(e.closed)
	err := e.Stop(context.Background())
	e.feeds.close()
	e.runner.Close()
	return errors.Join(err, e.store.Close())
}

// code runs user code for the runner.
type code Engine

// Body runs a step.
func (e *code) Body(ctx context.Context, h *run.Handle) plan.Ending {
	c := e.defs[[2]string{h.Workflow, h.Version}].codes.steps[h.Node]
	logs := &capture{h: h}
	defer logs.end()
	for try := 1; ; try++ {
		end, again := e.attempt(ctx, h, c, logs, try)
		if !again {
			return end
		}
		e.log.Info("a step's transaction was rolled back; the step is run again", "execution", h.Execution.String(), "path", h.Path, "try", try)
		pause := time.NewTimer(txPause << try / 2 * (1 + rand.N[time.Duration](1000)) / 1000)
		select {
		case <-pause.C:
		case <-ctx.Done(): // and the body will see it
			pause.Stop()
		}
	}
}

// attempt runs a step once; true means that it should be run again at once.
func (e *code) attempt(ctx context.Context, h *run.Handle, c *stepCode, logs *capture, try int) (plan.Ending, bool) {
	b := &body{h: h, engine: (*Engine)(e), counts: make(map[string]int), shelf: new(shelf), logs: logs, before: recordedBefore(h)}
	h.Keeps, h.Ends = nil, nil
	fn := c.body
	switch h.Mode {
	case plan.Reconcile:
		fn = c.reconcile
	case plan.Undo:
		fn = c.undo
	}
	defer b.pens.end()
	defer b.dropTx() // after a panic, or when the body ends its goroutine
	patch, after, err := fn(context.WithValue(ctx, bodyKey{}, b), h.State, e.cfg.MaxPayload)
	end := ending(err, c, h)
	if end.Err == nil && !end.Snooze {
		end.Patch, end.Step = patch, &journal.Transition{Before: h.State, After: after}
		end.Answer = b.choice
	}
	if h.Mode == plan.Reconcile && err == nil {
		end.Happened = plan.Yes
	}
	h.Keeps, h.Ends = b.shelf.all(), b.shelf.allEnds()
	b.pens.end()
	return b.concludeTx(end, c, try)
}

// Ask runs a question.
func (e *code) Ask(ctx context.Context, v *run.Visit) run.Answered {
	d := e.defs[[2]string{v.Workflow, v.Version}]
	ctx = context.WithValue(ctx, askingKey{}, &asking{(*Engine)(e), v})
	return d.codes.question[v.Node](ctx, v.State, v.Question)
}

// asking is what a question's context leads to.
type asking struct {
	engine *Engine
	visit  *run.Visit
}

type askingKey struct{}

func askingOf(ctx context.Context) *asking {
	a, _ := ctx.Value(askingKey{}).(*asking)
	return a
}

// ending says what an error of a body means.
func ending(err error, c *stepCode, h *run.Handle) plan.Ending {
	if err == nil {
		return plan.Ending{}
	}
	if h.Mode == plan.Reconcile && isErr(err, DidNotHappen) {
		return plan.Ending{Happened: plan.No}
	}
	if s, ok := asErr[*stateError](err); ok {
		return plan.Ending{Block: s.Error()}
	}
	if s, ok := asErr[*snooze](err); ok {
		return plan.Ending{Snooze: true, After: s.d}
	}
	if x, ok := asErr[*cancelRun](err); ok {
		e := record(err, "cancelled", h.Path, h.Attempt)
		e.Message = x.reason
		return plan.Ending{Cancel: true, Err: e}
	}
	end := plan.Ending{Err: record(err, "error", h.Path, h.Attempt)}
	if r, ok := asErr[*retryAfter](err); ok {
		end.HasWait, end.After = true, r.after
	}
	if _, ok := asErr[*ChildError](err); ok {
		end.Err.Code = "child"
	}
	if f, ok := asErr[*Failure](err); ok && f.Code == "panic" {
		end.Err.Code = f.Code
	}
	switch r, unkept := asErr[*resultError](err); {
	case unkept:
		end.Final, end.Err.Code = true, r.code()
	case isErr(err, ErrTimeout):
		end.Final, end.Err.Code = true, "wait_timeout"
	case isErr(err, ErrWaitCancelled):
		end.Final, end.Err.Code = true, "wait_cancelled"
	case isErr(err, ErrPayload):
		end.Final, end.Err.Code = true, "payload"
	default:
		if t, ok := asErr[*txError](err); ok {
			end.Final, end.Err.Code = t.final, t.code
		}
		if p, ok := asErr[*permanent](err); ok {
			end.Final, end.Err.Code = true, p.code
		} else if retry := c.policy(h); retry != nil && !retry(err) {
			end.Final = true
		}
	}
	return end
}

// policy says which errors of a body are retried; nil: all.
func (c *stepCode) policy(h *run.Handle) func(error) bool {
	if h.Mode == plan.Undo {
		return c.undoIf
	}
	return c.retryIf
}
