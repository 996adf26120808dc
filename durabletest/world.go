package durabletest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// world is what the engines of a test share.
type world struct {
	t       testing.TB
	opener  store.Opener
	ctx     context.Context // of Engine.Run
	engines []*Engine
	dead    sync.WaitGroup // crashed engines that are being closed
	lease   time.Duration  // the longest there was
	scripts []*script
	used    map[string]bool // waits that a script has answered, by id

	mu      sync.Mutex
	changed chan struct{} // closed and replaced after each change of the store
}

func (w *world) join(cfg durable.Config) *Engine {
	w.t.Helper()
	e := &Engine{world: w, cfg: cfg}
	e.open()
	w.engines = append(w.engines, e)
	return e
}

// news is closed at the next change of the store.
func (w *world) news() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *world) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
}

// step does what the test owes the engines, until nothing more can happen at
// this instant: so whoever looks next sees a world that stands still.
func (w *world) step() {
	w.t.Helper()
	for {
		synctest.Wait()
		revived, played := w.revive(), w.play()
		if !revived && !played {
			return
		}
	}
}

// revive opens the engines anew that CrashAfter has ended.
func (w *world) revive() (any bool) {
	w.t.Helper()
	for _, e := range w.engines {
		if e.link.IsCut() {
			e.crashes++
			e.open()
			any = true
		}
	}
	return any
}

// close ends all engines and looks whether they left the store in order.
func (w *world) close() {
	w.t.Helper()
	crashes := 0
	for _, e := range w.engines {
		crashes += e.crashes
		if e.link.IsCut() {
			crashes++
			continue
		}
		e.shut()
	}
	w.dead.Wait()
	if crashes > 0 {
		<-time.After(w.lease) // what the dead left behind is free then
	}
	w.audit()
}

// audit reports runs that cannot be once no engine works any more.
func (w *world) audit() {
	w.t.Helper()
	ctx := context.Background()
	s, err := w.opener.OpenStore(ctx)
	if err != nil {
		w.t.Errorf("open the store after the test: %v", err)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			w.t.Errorf("close the store: %v", err)
		}
	}()
	if _, err := s.Expire(ctx); err != nil { // of engines that crashed
		w.t.Errorf("expire: %v", err)
	}
	f := store.Filter{Limit: 1000, Statuses: []store.Status{store.Running, store.Waiting}}
	for {
		page, err := s.List(ctx, f)
		if err != nil {
			w.t.Errorf("list the runs after the test: %v", err)
			return
		}
		for _, x := range page.Executions {
			w.auditRun(ctx, s, &x)
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			return
		}
	}
}

func (w *world) auditRun(ctx context.Context, s store.Store, x *store.Execution) {
	w.t.Helper()
	if x.Status == store.Running {
		w.t.Errorf("run %s of %s is running after every engine was closed", x.ID, x.Workflow)
		return
	}
	waits, err := s.Waits(ctx, store.WaitFilter{Execution: x.ID, Limit: 1})
	if err != nil || len(waits.Waits) == 0 {
		w.t.Errorf("run %s of %s is waiting and has no open wait (error %v)", x.ID, x.Workflow, err)
	}
}
