package postgres_test

import (
	"context"
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
