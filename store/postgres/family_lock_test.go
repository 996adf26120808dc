package postgres_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// Ends go up and cancels go down, in batches whose order is by chance, while others
// expire, renew, prune and send. All take rows in one order: the server never has
// to break a deadlock, and what was told in the end is what the ends say.
func TestFamilies_NoDeadlocks(t *testing.T) {
	const families, size, committers = 8, 12, 4
	url, schema := fresh(t)
	st, d, _ := watched(t, url, schema)
	who := uuid.New()
	renew := func() {
		if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
			t.Error(err)
		}
	}
	renew()
	var parents []store.ID
	for range families {
		w := beginning()
		w.Begin.Owner = who
		a := store.Advance{ID: w.Begin.ID, Owner: who, Epoch: 1, Base: 1, Row: []byte("bears"), Seen: -1}
		for range size {
			b := *beginning().Begin
			b.Parent = w.Begin.ID
			a.Children = append(a.Children, b)
		}
		commit(t, st, w)
		commit(t, st, store.Write{Advance: &a})
		parents = append(parents, w.Begin.ID)
	}
	claimed, err := st.Claim(t.Context(), store.ClaimRequest{Owner: who, Queues: map[string]int{"q": families * size}, Definitions: []store.Definition{{Workflow: "w", Version: "1"}}})
	if err != nil || len(claimed.Records) != families*size {
		t.Fatalf("%d claimed, %v", len(claimed.Records), err)
	}
	var writes []store.Write
	for _, r := range claimed.Records {
		writes = append(writes, store.Write{Advance: &store.Advance{
			ID: r.ID, Owner: who, Epoch: 1, Base: 1, Row: []byte("end"), Seen: -1,
			Release: &store.Release{Status: store.Completed, Report: []byte("r"), Family: &store.Notice{Topic: "parent"}},
		}})
	}
	for i, id := range parents {
		if i%2 == 0 {
			writes = append(writes, store.Write{Control: &store.Control{
				ID: id, From: store.Statuses(), Row: []byte("cancel"), Release: store.Release{Status: store.Cancelled, Family: &store.Notice{Topic: "parent"}},
			}})
		}
	}
	rand.Shuffle(len(writes), func(i, k int) { writes[i], writes[k] = writes[k], writes[i] })
	work := make(chan store.Write, len(writes))
	for _, w := range writes {
		work <- w
	}
	close(work)
	over := make(chan struct{})
	var ends, others sync.WaitGroup
	for range committers {
		ends.Go(func() {
			var batch []store.Write
			for w := range work {
				if batch = append(batch, w); len(batch) >= 1+rand.IntN(9) {
					batch = busyOf(t, st, batch)
				}
			}
			for len(batch) > 0 {
				batch = busyOf(t, st, batch)
			}
		})
	}
	for _, call := range []func() error{
		func() error { renew(); return nil },
		func() error { _, err := st.Expire(t.Context()); return err },
		func() error { _, err := st.Prune(t.Context(), store.PruneRequest{Age: time.Hour}); return err },
		func() error {
			var batch []store.Write
			for range 5 {
				batch = append(batch, store.Write{Deliver: &store.Deliver{ID: parents[rand.IntN(families)], Topic: "t", Dedupe: uuid.NewString()}})
			}
			_, err := st.Commit(t.Context(), batch)
			return err
		},
	} {
		others.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := call(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	ends.Wait()
	close(over)
	others.Wait()
	if n := d.n.Load(); n > 0 {
		t.Errorf("the server broke %d deadlocks", n)
	}
	for i, id := range parents {
		reports, open := 0, 0
		rec, err := st.Load(t.Context(), id, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rec.Messages {
			if m.Topic != "t" {
				reports++
			}
		}
		page, err := st.List(t.Context(), store.Filter{Parent: id, Limit: size})
		if err != nil {
			t.Fatal(err)
		}
		noticed := 0
		for _, x := range page.Executions {
			if noticed += int(x.Inbox); !x.Status.Ended() {
				open++
			}
		}
		if open > 0 || i%2 == 1 && (reports != size || noticed != 0) || i%2 == 0 && reports+noticed != size {
			t.Errorf("family %d: %d reports, %d notices, %d open, want %d in all", i, reports, noticed, open, size)
		}
	}
}

// busyOf commits a batch and returns what is to be asked again.
func busyOf(t *testing.T, st store.Store, batch []store.Write) (again []store.Write) {
	r, err := st.Commit(t.Context(), batch)
	if err != nil {
		t.Error(err)
		return nil
	}
	for i, v := range r.Verdicts {
		switch v.Code {
		case store.Busy:
			again = append(again, batch[i])
		case store.Applied:
		default:
			t.Errorf("verdict %d", v.Code)
		}
	}
	return again
}
