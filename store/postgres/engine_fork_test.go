package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

// A fork has the blobs of the run that it goes on from, small ones and those that are shared, also when that run has been removed.
func TestQY7_ForkWithBlobs(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	bodies := [][]byte{[]byte("small"), bytes.Repeat([]byte("large "), 2000)}
	broken := true
	flow := durable.Define("forked",
		durable.Step("keep", func(ctx context.Context, p *parcel) error {
			for _, b := range bodies {
				hash, err := durable.Blob(ctx, b)
				if err != nil {
					return err
				}
				p.Signed += hash
			}
			return nil
		}),
		durable.Step("read", func(ctx context.Context, p *parcel) error {
			if broken {
				return durable.Permanent(errors.New("the code is wrong"))
			}
			for i, want := range bodies {
				got, err := durable.ReadBlob(ctx, p.Signed[64*i:64*(i+1)])
				if err != nil || !bytes.Equal(got, want) {
					return durable.Permanent(errors.Join(err, errors.New("another body")))
				}
			}
			return nil
		}))
	e := f.join(durable.Config{Workflows: []durable.Definition{flow}})
	first, err := flow.Start(t.Context(), e.Engine, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Wait(t.Context()); err == nil {
		t.Fatal("it has not failed")
	}
	broken = false
	for range 2 {
		id, err := e.Fork(t.Context(), first.ID, "read", durable.Key("once"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := flow.Attach(e.Engine, id).Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	second, err := e.Fork(t.Context(), first.ID, "read")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flow.Attach(e.Engine, second).Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := e.Prune(t.Context(), durable.PruneOptions{OlderThan: time.Nanosecond, Statuses: []durable.Status{durable.Failed}}); err != nil || n != 1 {
		t.Errorf("%d runs removed, %v", n, err)
	}
	third, err := e.Fork(t.Context(), second, "read")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flow.Attach(e.Engine, third).Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
