//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// poisoned makes one write of some runs one that the database does not take,
// as if a check of the engine were missing.
type poisoned struct {
	store.Opener
	spoil map[string]func(a *store.Advance) // by the key of the run
}

func (o poisoned) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.Opener.OpenStore(ctx)
	return &poisonedStore{Store: s, spoil: o.spoil, runs: map[store.ID]func(a *store.Advance){}}, err
}

type poisonedStore struct {
	store.Store
	spoil map[string]func(a *store.Advance)
	mu    sync.Mutex
	runs  map[store.ID]func(a *store.Advance)
}

func (s *poisonedStore) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	writes = slices.Clone(writes)
	s.mu.Lock()
	for i, w := range writes {
		if w.Begin != nil && s.spoil[w.Begin.Key] != nil {
			s.runs[w.Begin.ID] = s.spoil[w.Begin.Key]
		}
		if w.Advance != nil && s.runs[w.Advance.ID] != nil && len(w.Advance.Open) > 0 {
			a := *w.Advance
			a.Open = slices.Clone(a.Open)
			s.runs[a.ID](&a)
			writes[i].Advance = &a
		}
	}
	s.mu.Unlock()
	return s.Store.Commit(ctx, writes)
}

// A write that the database never takes blocks its own run, and those that
// share its batches go on.
func TestG20_PoisonousWrites(t *testing.T) {
	c := cluster(t)
	address, _ := database(t, c)
	noise := make([]byte, 12_000) // which does not shrink
	for i := range noise {
		noise[i] = byte(33 + rand.IntN(90))
	}
	spoil := map[string]func(a *store.Advance){
		"NUL":            func(a *store.Advance) { a.Open[0].Name = "a\x00b" },
		"no UTF-8":       func(a *store.Advance) { a.Open[0].Name = "\xff\xfe" },
		"a large key":    func(a *store.Advance) { a.Open[0].ID = string(noise) },
		"a large row":    func(a *store.Advance) { a.Row = make([]byte, 257<<20) },
		"a queue of NUL": func(a *store.Advance) { a.Release = &store.Release{Status: store.Waiting, Queue: "\x00"} },
	}
	s := open(t, poisoned{postgres.Open(address), spoil}, durable.Config{})
	s.serve(16)
	s.await(5)
	bad := map[durable.ID]string{}
	for key := range spoil {
		run, err := s.flow.Start(t.Context(), s.engine, order{N: -1}, durable.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		bad[run.ID] = key
	}
	blocked := func(id durable.ID) string {
		x, err := s.engine.Execution(t.Context(), id)
		if err != nil || x.Status != durable.Blocked || x.Error == nil {
			return ""
		}
		return x.Error.Message
	}
	for id, key := range bad {
		for try := 0; blocked(id) == "" && try < 500; try++ {
			pass(t, 20*time.Millisecond)
		}
		if text := blocked(id); !strings.Contains(text, "the database refuses what the run wants to record") {
			t.Errorf("%s: %q", key, text)
		}
	}
	s.await(20)
	for id := range bad { // they are held, and can be ended
		if err := s.engine.Cancel(t.Context(), id, "poisoned"); err != nil {
			t.Error(err)
		}
	}
	s.halt()
	stats := s.engine.Stats()
	wrong := slices.DeleteFunc(s.judge(postgres.Open(address), stats), func(text string) bool {
		for id := range bad {
			if strings.Contains(text, id.String()) {
				return true
			}
		}
		return strings.Contains(text, fmt.Sprintf("%d runs are stored, %d were acknowledged", len(s.acked)+len(bad), len(s.acked)))
	})
	if len(wrong) > 0 || stats.Refused != int64(len(bad)) {
		t.Errorf("%q, %+v", wrong, stats)
	}
}

// What users can hand in is refused where it comes in, or kept as it is: it
// never reaches the point where a database refuses it.
func TestG20_HostileInput(t *testing.T) {
	c := cluster(t)
	address, _ := database(t, c)
	type hostile struct {
		Text string `json:"text"`
	}
	nasty := "a\x00b\xff\xfe\u2028"
	long := strings.Repeat("\U0010FFFF", 10_000)
	flow := durable.Define("hostile",
		durable.Step("talk", func(ctx context.Context, h *hostile) error {
			durable.Logger(ctx).Info(nasty, "key\x00", nasty, "long", long)
			h.Text += nasty
			if _, err := durable.Do(ctx, nasty, func(context.Context) (string, error) { return nasty, nil }); err == nil {
				return durable.Permanent(errors.New("a call with a name like that was taken"))
			}
			_, err := durable.Do(ctx, "call", func(context.Context) (string, error) { return nasty, errors.New(nasty) })
			if err == nil {
				return durable.Permanent(errors.New("the error of a call is gone"))
			}
			return nil
		}),
		durable.Step("ask", func(ctx context.Context, h *hostile) (err error) {
			h.Text, err = durable.WaitForInput[string](ctx, "ask", durable.Prompt(nasty+long))
			return err
		}),
		durable.Step("fail", func(context.Context, *hostile) error { panic(nasty + long) }).Retry(durable.Retry{MaxAttempts: 2, Base: time.Millisecond}))
	s := open(t, postgres.Open(address), durable.Config{Workflows: []durable.Definition{flow}})
	s.serve(8)
	for _, opt := range []durable.StartOption{durable.Key(nasty), durable.Tags(nasty), durable.InQueue(nasty), durable.Key(long), durable.Tags(long)} {
		if _, err := flow.Start(t.Context(), s.engine, hostile{}, opt); err == nil {
			t.Error("a start with hostile text was taken")
		}
	}
	run, err := flow.Start(t.Context(), s.engine, hostile{Text: nasty})
	if err != nil {
		t.Fatal(err)
	}
	for try := 0; try < 500; try++ {
		if err = s.engine.ProvideInput(t.Context(), run.ID, "ask", nasty+long, durable.By(nasty)); err == nil {
			break
		}
		pass(t, 20*time.Millisecond)
	}
	if err != nil {
		t.Log("the answer: ", err)
		if err := s.engine.ProvideInput(t.Context(), run.ID, "ask", nasty+long, durable.By("ada")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{nasty, long} {
		if err := s.engine.SendEvent(t.Context(), run.ID, name, 1); err == nil {
			t.Errorf("an event with the name %.20q was taken", name)
		}
	}
	var end *durable.RunError
	if _, err := run.Wait(t.Context()); !errors.As(err, &end) || end.Status != durable.Failed || end.Cause == nil || end.Cause.Code != "panic" {
		t.Errorf("ended with %v", err)
	}
	s.await(5)
	s.halt()
	if stats := s.verify(postgres.Open(address)); stats.Refused > 0 || stats.FailedBatches > 0 {
		t.Errorf("%+v", stats)
	}
}
