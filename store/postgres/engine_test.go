package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

type parcel struct {
	Packed bool   `json:"packed"`
	Signed string `json:"signed"`
}

// Two engines on one database: what one starts and another signs is done once,
// whoever does it.
func TestEngine_TwoOnOneDatabase(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := opener(t)
	var mu sync.Mutex
	packed := map[durable.ID]int{}
	flow := durable.Define("parcel",
		durable.Step("pack", func(ctx context.Context, p *parcel) error {
			mu.Lock()
			defer mu.Unlock()
			info, _ := durable.Info(ctx)
			packed[info.Execution]++
			p.Packed = true
			return nil
		}),
		durable.Step("sign", func(ctx context.Context, p *parcel) (err error) {
			p.Signed, err = durable.WaitForEvent[string](ctx, "signed")
			return err
		}),
	)
	engines := make([]*durable.Engine, 2)
	var running sync.WaitGroup
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{flow}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		engines[i] = e
		running.Go(func() { _ = e.Run(ctx) })
	}
	defer running.Wait()
	for _, e := range engines {
		defer e.Close()
	}
	for i := range 20 {
		run, err := flow.Start(ctx, engines[i%2], parcel{})
		if err != nil {
			t.Fatal(err)
		}
		if err := engines[(i+1)%2].SendEvent(ctx, run.ID, "signed", fmt.Sprint("by ", i)); err != nil {
			t.Fatal(err)
		}
		p, err := run.Wait(ctx)
		if err != nil || !p.Packed || p.Signed != fmt.Sprint("by ", i) {
			t.Fatalf("run %d: %+v, %v", i, p, err)
		}
		mu.Lock()
		if packed[run.ID] != 1 {
			t.Errorf("run %d was packed %d times", i, packed[run.ID])
		}
		mu.Unlock()
	}
}

// Retain, with the server's clock and two workers.
func TestRN1_RN2_Retain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const d = 2 * time.Second
	o := opener(t)
	pack := durable.Step("pack", func(context.Context, *parcel) error { return nil })
	sign := durable.Step("sign", func(ctx context.Context, p *parcel) (err error) {
		p.Signed, err = durable.WaitForEvent[string](ctx, "signed")
		return err
	})
	short, kept, open := durable.Define("short", pack).Retain(d), durable.Define("kept", pack), durable.Define("open", sign).Retain(d)
	var running sync.WaitGroup
	var engines []*durable.Engine
	defer running.Wait()
	for range 2 {
		e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{short, kept, open}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		engines = append(engines, e)
		running.Go(func() { _ = e.Run(ctx) })
	}
	start := func(w *durable.Workflow[parcel], key string) durable.ID {
		run, err := w.Start(ctx, engines[0], parcel{}, durable.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		if w != open {
			if _, err := run.Wait(ctx); err != nil {
				t.Fatal(err)
			}
		}
		return run.ID
	}
	waits, stays, goes := start(open, "k"), start(kept, "k"), start(short, "k")
	x, err := engines[1].Execution(ctx, goes)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err == nil {
		<-tick.C
		_, err = engines[1].Execution(ctx, goes)
	}
	if !errors.Is(err, durable.ErrNotFound) || time.Since(x.Ended) < d {
		t.Errorf("%s after its end: %v", time.Since(x.Ended), err)
	}
	if again := start(short, "k"); again == goes {
		t.Error("its key is still taken")
	}
	for _, id := range []durable.ID{waits, stays} {
		if _, err := engines[1].Execution(ctx, id); err != nil {
			t.Errorf("one that is open or kept: %v", err)
		}
	}
}
