package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/sqlite"
	"github.com/durable-go/durable/store/storetest"
)

func TestDifferential_AgainstMemory(t *testing.T) {
	seeds := []uint64{1, 2, 3, rand.Uint64(), rand.Uint64()}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			storetest.Differential(t,
				storetest.Harness{Opener: memory.New()},
				storetest.Harness{Opener: sqlite.Open(filepath.Join(t.TempDir(), "durable.db"))}, seed)
		})
	}
}

func beginning() store.Write {
	return store.Write{Begin: &store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "w", Version: "1", Queue: "q", Row: []byte("began")}}
}

func begin(t *testing.T, st store.Store) store.ID {
	t.Helper()
	w := beginning()
	one(t, st, w, store.Applied)
	return w.Begin.ID
}

func one(t *testing.T, st store.Store, w store.Write, want store.Code) {
	t.Helper()
	r, err := st.Commit(context.Background(), []store.Write{w})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Verdicts[0].Code; got != want {
		t.Fatalf("verdict %d, want %d", got, want)
	}
}

// worker begins an execution that a new worker owns.
func worker(t *testing.T, st store.Store, lease time.Duration) store.Advance {
	t.Helper()
	who := uuid.New()
	if _, err := st.Renew(context.Background(), store.Lease{Who: who, Duration: lease, New: true}); err != nil {
		t.Fatal(err)
	}
	w := beginning()
	w.Begin.Owner = who
	one(t, st, w, store.Applied)
	return store.Advance{ID: w.Begin.ID, Owner: who, Epoch: 1, Base: 1, Seen: -1, Row: []byte("row")}
}

// All of a store's life fits into a bubble: virtual time, and nothing left at
// its end.
func TestBubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	synctest.Test(t, func(t *testing.T) {
		st := open(t, path)
		hints := st.Watch(t.Context())
		begun := time.Now()
		a := worker(t, st, time.Minute)
		a.NotBefore = begun.Add(time.Hour)
		one(t, st, store.Write{Advance: &a}, store.Early)
		<-time.After(time.Hour)
		one(t, st, store.Write{Advance: &a}, store.Applied)
		if n, err := st.Expire(t.Context()); err != nil || n != 1 {
			t.Errorf("released %d, %v", n, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		if _, open := <-hints; open {
			t.Error("a hint after Close, which only we had given cause for")
		}
		if _, err := st.Commit(t.Context(), nil); err == nil {
			t.Error("a commit after Close")
		}
		if _, err := st.Load(t.Context(), a.ID, false); err == nil {
			t.Error("a load after Close")
		}
		if _, open := <-st.Watch(t.Context()); open {
			t.Error("a hint after Close")
		}
	})
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	synctest.Test(t, func(t *testing.T) {
		st, other := open(t, path), open(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		hints := st.Watch(ctx)
		begin(t, st)
		select {
		case <-hints:
			t.Error("a hint about our own change")
		case <-time.After(time.Second):
		}
		begin(t, other)
		select {
		case <-hints:
		case <-time.After(50 * time.Millisecond):
			t.Error("no hint about another's change")
		}
		cancel()
		if _, open := <-hints; open {
			t.Error("the channel stays open")
		}
		if quiet := open(t, path, sqlite.WatchEvery(-1)); quiet.Watch(ctx) != nil {
			t.Error("a watch that was switched off")
		}
	})
}

// What one handle keeps in memory about an execution ends as soon as another
// has changed anything.
func TestFence_AcrossHandles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	synctest.Test(t, func(t *testing.T) {
		st, other := open(t, path), open(t, path)
		a := worker(t, st, time.Second)
		one(t, st, store.Write{Advance: &a}, store.Applied)
		<-time.After(2 * time.Second)
		if n, err := other.Expire(t.Context()); err != nil || n != 1 {
			t.Fatalf("released %d, %v", n, err)
		}
		a.Base++
		one(t, st, store.Write{Advance: &a}, store.Superseded)
		one(t, other, store.Write{Deliver: &store.Deliver{ID: a.ID, Topic: "t", Dedupe: "1"}}, store.Applied)
		one(t, st, store.Write{Deliver: &store.Deliver{ID: a.ID, Topic: "t", Dedupe: "1"}}, store.Landed)
	})
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	st := open(t, path)
	a := worker(t, st, time.Hour)
	one(t, st, store.Write{Advance: &a}, store.Applied)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	st = open(t, path)
	one(t, st, store.Write{Advance: &a}, store.Landed)
	a.Base++
	one(t, st, store.Write{Advance: &a}, store.Applied)
}

// Two processes commit to one file as fast as they can; one is killed. Nothing
// that was acknowledged is missing, and nobody starves.
func TestProcesses(t *testing.T) {
	if path := os.Getenv("DURABLE_TEST_CHILD"); path != "" {
		child(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "a.db")
	st := open(t, path)
	acked := filepath.Join(t.TempDir(), "acked")
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcesses$")
	cmd.Env = append(os.Environ(), "DURABLE_TEST_CHILD="+path, "DURABLE_TEST_ACKED="+acked)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hints := st.Watch(t.Context())
	select {
	case <-hints:
	case <-time.After(20 * time.Second):
		t.Error("the other process does nothing")
	}
	a := worker(t, st, time.Hour)
	for range 300 {
		one(t, st, store.Write{Advance: &a}, store.Applied)
		a.Base++
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	ids, err := os.ReadFile(acked)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(ids) >= 16; ids = ids[16:] {
		if _, err := st.Load(t.Context(), store.ID(ids[:16]), false); err != nil {
			t.Errorf("acknowledged and lost: %v", err)
		}
	}
	rec, err := st.Load(t.Context(), a.ID, true)
	if err != nil || rec.Length != 301 {
		t.Errorf("length %d, %v", rec.Length, err)
	}
}

// child begins executions until it is killed and notes the acknowledged ones.
func child(t *testing.T, path string) {
	st := open(t, path)
	f, err := os.Create(os.Getenv("DURABLE_TEST_ACKED"))
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		id := begin(t, st)
		if _, err := f.Write(id[:]); err != nil {
			t.Fatal(err)
		}
	}
}

// A caller that gives up while it waits for its turn changes nothing.
func TestContext(t *testing.T) {
	st := open(t, filepath.Join(t.TempDir(), "a.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := beginning()
	if _, err := st.Commit(ctx, []store.Write{w}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := st.Load(t.Context(), w.Begin.ID, false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	one(t, st, w, store.Applied)
}
