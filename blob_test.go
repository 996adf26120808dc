package durable_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// blobs keeps texts and notes their hashes.
func blobs(ctx context.Context, n *note, texts ...string) error {
	for _, text := range texts {
		hash, err := durable.Blob(ctx, []byte(text))
		if err != nil {
			return err
		}
		n.Trace = append(n.Trace, hash)
	}
	return nil
}

// readBlobs reads all that a state names.
func readBlobs(ctx context.Context, n *note) error {
	var texts []string
	for _, hash := range n.Trace {
		body, err := durable.ReadBlob(ctx, hash)
		if err != nil {
			return err
		}
		texts = append(texts, string(body))
	}
	n.Kind = strings.Join(texts, ",")
	return nil
}

// keeper is a workflow that gives blobs in every way: before a Do, in it, in items of an
// All, before a wait, and before the end of a step.
func keeper(bodies *tally, unit time.Duration) *durable.Workflow[note] {
	return durable.Define("w",
		body("calls", func(ctx context.Context, n *note) error {
			bodies.add("calls")
			if err := blobs(ctx, n, "system", "question"); err != nil {
				return err
			}
			hash, err := durable.Do(ctx, "ask", func(ctx context.Context) (string, error) {
				if body, err := durable.ReadBlob(ctx, n.Trace[1]); err != nil || string(body) != "question" {
					return "", fmt.Errorf("in the call the question is %q, %w", body, err)
				}
				return durable.Blob(ctx, []byte("answer"))
			})
			if err != nil {
				return err
			}
			items, err := durable.All(ctx, "each", []string{"one", "two", "system"}, func(ctx context.Context, text string) (string, error) {
				hash, err := durable.Blob(ctx, []byte(text))
				if err == nil {
					_, err = durable.ReadBlob(ctx, hash)
				}
				return hash, err
			})
			if err != nil {
				return err
			}
			n.Trace = append(append(n.Trace, hash), items...)
			if err := blobs(ctx, n, "", "waited"); err != nil {
				return err
			}
			if err := durable.Sleep(ctx, unit); err != nil {
				return err
			}
			return readBlobs(ctx, n)
		}),
		body("ends", func(ctx context.Context, n *note) error {
			bodies.add("ends")
			return blobs(ctx, n, "end", "question")
		}),
		body("reads", func(ctx context.Context, n *note) error {
			bodies.add("reads")
			return readBlobs(ctx, n)
		}))
}

func TestDO9_KeptWithTheRecord(t *testing.T) {
	var bodies tally
	w := keeper(&bodies, time.Hour)
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		got := run.Done()
		if want := "system,question,answer,one,two,system,,waited,end,question"; got.Kind != want {
			t.Errorf("read %q, want %q", got.Kind, want)
		}
		body, err := e.Blob(context.Background(), run.ID, hashOf("answer"))
		if err != nil || string(body) != "answer" {
			t.Errorf("from outside: %q, %v", body, err)
		}
		_, err = e.Blob(context.Background(), run.ID, hashOf("another"))
		wantError(t, err, durable.ErrNotFound)
		_, err = e.Blob(context.Background(), run.ID, "x\x00")
		wantError(t, err, durable.ErrInvalid)
	})
}

func TestDO9_KeptUnderCrashes(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		return &weather[note]{flow: keeper(&bodies, unit), bodies: &bodies, width: 4, end: func(n note, err error) error {
			if err != nil || n.Kind != "system,question,answer,one,two,system,,waited,end,question" {
				return fmt.Errorf("read %q, %w", n.Kind, err)
			}
			return nil
		}}
	})
}

// sent counts what is written of blobs.
type sent struct {
	store.Opener
	mu    sync.Mutex
	blobs map[string]int
}

type sender struct {
	store.Store
	*sent
}

func (s *sent) OpenStore(ctx context.Context) (store.Store, error) {
	inner, err := s.Opener.OpenStore(ctx)
	return &sender{inner, s}, err
}

func (s *sender) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	s.mu.Lock()
	for _, w := range writes {
		if w.Advance != nil {
			for _, b := range w.Advance.Blobs {
				s.blobs[string(b)]++
			}
		}
	}
	s.mu.Unlock()
	return s.Store.Commit(ctx, writes)
}

func TestDO9_SentOnce(t *testing.T) {
	w := durable.Define("w",
		body("a", func(ctx context.Context, n *note) error {
			for i := range 3 {
				n.Trace = nil
				if err := blobs(ctx, n, "system", fmt.Sprint("turn ", i)); err != nil {
					return err
				}
				if err := durable.Sleep(ctx, time.Hour); err != nil {
					return err
				}
			}
			return nil
		}),
		body("b", func(ctx context.Context, n *note) error { return blobs(ctx, n, "system", "last") }),
		body("c", func(ctx context.Context, n *note) error { return blobs(ctx, n, "last") }))
	s := &sent{Opener: memory.New(), blobs: map[string]int{}}
	durabletest.Run(t, serve(w), func(t *testing.T, e *durabletest.Engine) {
		durabletest.Start(e, w, note{}).Done()
		for _, text := range []string{"system", "turn 0", "turn 1", "turn 2", "last"} {
			if s.blobs[text] != 1 {
				t.Errorf("%q was sent %d times", text, s.blobs[text])
			}
		}
		s.blobs = map[string]int{}
		r := durabletest.Start(e, w, note{})
		e.Sleep(30 * time.Minute)
		e.Crash() // and the next process does not know what is there
		r.Done()
		if s.blobs["system"] != 2 || s.blobs["turn 0"] != 2 || s.blobs["turn 2"] != 1 {
			t.Errorf("after a crash: %v", s.blobs)
		}
	}, durabletest.Store(s))
}

// What a failed attempt gave and nothing recorded is not there; what a record took is.
func TestDO9_FailedAttempts(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		if info.Attempt == 1 {
			if err := blobs(ctx, n, "taken"); err != nil {
				return err
			}
			_, err := durable.Do(ctx, "fails", func(ctx context.Context) (int, error) {
				_, err := durable.Blob(ctx, []byte("of the error"))
				return 0, errors.Join(errFlaky, err)
			})
			if err := blobs(ctx, n, "dropped"); err != nil {
				return err
			}
			return err
		}
		for text, want := range map[string]error{"taken": nil, "of the error": nil, "dropped": durable.ErrNotFound} {
			if _, err := durable.ReadBlob(ctx, hashOf(text)); !errors.Is(err, want) {
				return durable.Permanent(fmt.Errorf("%s: %w", text, err))
			}
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 2}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		durabletest.Start(e.Engine, w, note{}).Done()
	})
}

func TestDO9_WhereItMayBeCalled(t *testing.T) {
	var got tally
	refused := func(where string, err error) {
		got.add(fmt.Sprintf("%s: %t", where, errors.Is(err, durable.ErrNotInStep)))
	}
	after := make(chan context.Context, 2)
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		done := make(chan error)
		go func() {
			_, err := durable.Blob(ctx, []byte("x"))
			done <- err
		}()
		refused("goroutine", <-done)
		_, err := durable.All(ctx, "a", []int{1}, func(ctx context.Context, _ int) (int, error) {
			after <- ctx
			return 1, nil
		})
		if err != nil {
			return err
		}
		_, err = durable.Blob(<-after, []byte("x"))
		refused("item that is over", err)
		_, err = durable.Blob(ctx, make([]byte, 16<<20+1))
		got.add(fmt.Sprintf("large: %t", errors.Is(err, durable.ErrTooLarge)))
		for i := range 5 {
			body := make([]byte, 16<<20)
			body[0] = byte(i)
			_, err = durable.Blob(ctx, body)
			if i < 4 != (err == nil) {
				return durable.Permanent(fmt.Errorf("blob %d: %w", i, err))
			}
		}
		got.add(fmt.Sprintf("many: %t", errors.Is(err, durable.ErrTooLarge)))
		if _, err := durable.Do(ctx, "record", func(context.Context) (int, error) { return 1, nil }); err != nil {
			return err
		}
		_, err = durable.ReadBlob(ctx, "not a hash")
		got.add(fmt.Sprintf("hash: %t", errors.Is(err, durable.ErrInvalid)))
		after <- ctx
		_, err = durable.Blob(ctx, []byte("there is room again"))
		return err
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		_, err := durable.Blob(context.Background(), nil)
		refused("outside", err)
		_, err = durable.ReadBlob(context.Background(), hashOf("x"))
		refused("outside, reading", err)
		durabletest.Start(e.Engine, w, note{}).Done()
		synctest.Wait()
		_, err = durable.Blob(<-after, nil)
		refused("after", err)
		want := []string{"outside: true", "outside, reading: true", "goroutine: true", "item that is over: true", "large: true", "many: true", "hash: true", "after: true"}
		if !slices.Equal(got.all(), want) {
			t.Errorf("%q, want %q", got.all(), want)
		}
	})
}

// A run sees its own blobs only, and they go with it.
func TestDO9_OfOneRun(t *testing.T) {
	writes := durable.Define("writes", body("s", func(ctx context.Context, n *note) error { return blobs(ctx, n, "secret") }))
	reads := durable.Define("reads", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.ReadBlob(ctx, hashOf("secret"))
		return err
	}))
	onStores(t, serve(writes, reads), func(t *testing.T, e env) {
		durabletest.Start(e.Engine, writes, note{}).Done()
		wantFailure(t, durabletest.Start(e.Engine, reads, note{}).Fails(), durable.Failed, "error", "s")
	})
}

// A blob that is given before a transaction becomes durable with it, or not at all.
func TestDO9_WithATransaction(t *testing.T) {
	w := durable.Define("w", body("pay", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		n.Trace = []string{hashOf("a receipt that never was")}
		if info.Attempt == 2 {
			n.Trace = nil
			if err := blobs(ctx, n, "receipt"); err != nil {
				return err
			}
		} else if _, err := durable.Blob(ctx, []byte("a receipt that never was")); err != nil {
			return err
		}
		return durable.Tx(ctx, func(tx *sql.Tx) error {
			if _, err := durable.ReadBlob(ctx, n.Trace[0]); err != nil {
				return err
			}
			if _, err := durable.Blob(ctx, nil); !errors.Is(err, durable.ErrNotInStep) {
				return durable.Permanent(fmt.Errorf("within Tx: %w", err))
			}
			if info.Attempt == 1 {
				return errFlaky
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO account VALUES (?, 1)", n.Trace[0])
			return err
		})
	}).Retry(durable.Retry{MaxAttempts: 2}), body("reads", readBlobs))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		id, got, err := s.run(t, w)
		if err != nil || got.Kind != "receipt" {
			t.Errorf("read %q, %v", got.Kind, err)
		}
		_, err = s.Blob(t.Context(), id, hashOf("a receipt that never was"))
		wantError(t, err, durable.ErrNotFound)
		s.wantRows(t, hashOf("receipt"))
	})
}

// damaging gives other blobs than were kept, as long as it is told to.
type damaging struct {
	store.Store
	how *atomic.Pointer[func([]byte) ([]byte, error)]
}

// OpenStore opens another handle.
func (d damaging) OpenStore(ctx context.Context) (store.Store, error) {
	st, err := d.Store.(*memory.Store).OpenStore(ctx)
	return damaging{st, d.how}, err
}

func (d damaging) Blob(ctx context.Context, id store.ID, hash string) ([]byte, error) {
	b, err := d.Store.Blob(ctx, id, hash)
	if how := d.how.Load(); how != nil && err == nil {
		return (*how)(b)
	}
	return b, err
}

// RT-10: what the database has lost is no failure of a step: the run is blocked, no attempt is counted, and
// it goes on when the blob is there again. In a body, in a Do and in an item of an All.
func TestRT10_LostBlobsBlockTheRun(t *testing.T) {
	ways := map[string]func(ctx context.Context, hash string) error{
		"in the body": func(ctx context.Context, hash string) error {
			_, err := durable.ReadBlob(ctx, hash)
			return err
		},
		"in a Do": func(ctx context.Context, hash string) error {
			_, err := durable.Do(ctx, "read", func(ctx context.Context) ([]byte, error) { return durable.ReadBlob(ctx, hash) })
			return err
		},
		"in an All": func(ctx context.Context, hash string) error {
			_, err := durable.All(ctx, "read", []int{1, 2}, func(ctx context.Context, _ int) ([]byte, error) { return durable.ReadBlob(ctx, hash) })
			return err
		},
	}
	for where, read := range ways {
		for what, how := range map[string]func([]byte) ([]byte, error){
			"damaged": func(b []byte) ([]byte, error) { return append(b, '!'), nil },
			"lost":    func([]byte) ([]byte, error) { return nil, fmt.Errorf("gone: %w", store.ErrLost) },
		} {
			t.Run(what+" "+where, func(t *testing.T) {
				w := durable.Define("w",
					body("keep", func(ctx context.Context, n *note) error { return blobs(ctx, n, "content") }),
					body("read", func(ctx context.Context, n *note) error { return read(ctx, n.Trace[0]) }).Retry(durable.Retry{MaxAttempts: 1}))
				d := damaging{memory.New(), new(atomic.Pointer[func([]byte) ([]byte, error)])}
				d.how.Store(&how)
				durabletest.Run(t, serve(w), func(t *testing.T, e *durabletest.Engine) {
					r := durabletest.Start(e, w, note{})
					if x := r.Settle(); x.Status != durable.Blocked || !strings.Contains(fmt.Sprint(x.Error), "a blob that was kept") {
						t.Fatalf("%s, %v", x.Status, x.Error)
					}
					d.how.Store(nil)
					if err := e.Unblock(t.Context(), r.ID); err != nil {
						t.Fatal(err)
					}
					if x := r.Settle(); x.Status != durable.Completed {
						t.Errorf("with the blob it is %s: %v", x.Status, x.Error)
					}
				}, durabletest.Store(d))
			})
		}
	}
}
