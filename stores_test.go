package durable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/sqlite"
)

// env is an engine in a bubble and the store behind it.
type env struct {
	*durabletest.Engine
	opener store.Opener
}

// inMemory runs a test in a bubble on the store in memory: for what no restart
// touches.
func inMemory(t *testing.T, cfg durable.Config, test func(t *testing.T, e env)) {
	t.Helper()
	opener := memory.New()
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		test(t, env{e, opener})
	}, durabletest.Store(opener))
}

// onStores runs a test in a bubble on each store; under the race detector, which
// makes it many times slower, in memory only: the stores have tests of their own.
func onStores(t *testing.T, cfg durable.Config, test func(t *testing.T, e env)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { inMemory(t, cfg, test) })
	if raced {
		return
	}
	t.Run("sqlite", func(t *testing.T) {
		opener := sqlite.Open(sqlitePath(t), sqlite.WatchEvery(-1))
		durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
			test(t, env{e, opener})
		}, durabletest.Store(opener))
	})
}

// sqlitePath is a new file, in memory where the system has such a file system:
// these tests are about the engine, and a flush to disk costs milliseconds.
func sqlitePath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "durable")
	if err != nil {
		return filepath.Join(t.TempDir(), "test.db")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "test.db")
}

// serve is a config for workflows.
func serve(workflows ...durable.Definition) durable.Config {
	return durable.Config{Workflows: workflows}
}

// record is an execution as it is stored.
func (e env) record(t *testing.T, id durable.ID) store.Record {
	t.Helper()
	s, err := e.opener.OpenStore(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	rec, err := s.Load(context.Background(), id, true)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// facts is the journal of an execution.
func (e env) facts(t *testing.T, id durable.ID) []journal.Fact {
	t.Helper()
	var list []journal.Fact
	for _, row := range e.record(t, id).Rows {
		facts, err := journal.Decode(row.Body)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, facts...)
	}
	return list
}

// count is how many executions there are.
func (e env) count(t *testing.T) int {
	t.Helper()
	p, err := e.Executions(context.Background(), durable.Filter{Count: true})
	if err != nil {
		t.Fatal(err)
	}
	return p.Count
}

// story is what a journal says, without what faults and clocks add to it: no
// beginnings of bodies, no crashes, no times, no numbers of attempts.
func story(facts []journal.Fact) []string {
	var lines []string
	for _, f := range facts {
		if f.Kind == journal.Tried || f.Kind == journal.Handed || f.Kind == journal.Scattered || f.Kind == journal.Delayed && f.Why == journal.ByCrash {
			continue
		}
		path := f.Path
		if step, _, ok := journal.CutUndo(path); ok { // lanes come in any order
			path = "undo of " + step
		}
		line := fmt.Sprintf("%s %s %s %s", f.Kind, path, f.Call, f.Data)
		if f.Kind == journal.Received { // who answered when is in the payload
			line = fmt.Sprintf("%s %s %s", f.Kind, path, f.Call)
		}
		if f.Answer != nil {
			line += fmt.Sprintf(" %+v", *f.Answer)
		}
		if f.Err != nil {
			line += " " + f.Err.Code
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// tally counts, and remembers the order.
type tally struct {
	mu   sync.Mutex
	list []string
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, name)
}

func (c *tally) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

func (c *tally) of(name string) (n int) {
	for _, s := range c.all() {
		if s == name {
			n++
		}
	}
	return n
}

func (c *tally) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

// note is the state of most tests: what was done, in order.
type note struct {
	Kind  string   `json:"kind,omitempty"`
	N     int      `json:"n,omitempty"`
	Trace []string `json:"trace,omitempty"`
}

// mark is a step that notes that it was done.
func mark(name string) *durable.StepNode[note] {
	return durable.Step(name, func(_ context.Context, n *note) error {
		n.Trace = append(n.Trace, name)
		return nil
	})
}

// body is a step with a function.
func body(name string, fn func(ctx context.Context, n *note) error) *durable.StepNode[note] {
	return durable.Step(name, fn)
}

// rest lets a body take a while of virtual time.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func wantTrace(t *testing.T, got note, want ...string) {
	t.Helper()
	if !slices.Equal(got.Trace, want) {
		t.Errorf("trace %q, want %q", got.Trace, want)
	}
}

func wantFailure(t *testing.T, err error, status durable.Status, code, path string) *durable.Failure {
	t.Helper()
	var end *durable.RunError
	if !errors.As(err, &end) {
		t.Fatalf("error %v, want a RunError", err)
	}
	if end.Status != status || end.Cause == nil || end.Cause.Code != code || end.Cause.Path != path {
		t.Fatalf("ended %s with %+v, want %s with code %q at %q", end.Status, end.Cause, status, code, path)
	}
	return end.Cause
}

// wantError wants an error that wraps sentinel (unless nil) and says all of texts.
func wantError(t *testing.T, err, sentinel error, texts ...string) {
	t.Helper()
	if err == nil || sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("error %v, want one that is %v", err, sentinel)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

// steps are the attempts of steps: path, number and status.
func steps(x *durable.Execution) []string {
	var list []string
	for _, s := range x.Steps {
		if s.Kind == "step" {
			list = append(list, fmt.Sprintf("%s %d %s", s.Path, s.Attempt, s.Status))
		}
	}
	return list
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}
