package main

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

const day = 24 * time.Hour

// In virtual time, with the worker killed after each of its commits: whatever the bank
// repeats, and whether it comes before or after the order, each payment counts once.
func TestEV4_EachPaymentCountsOnce(t *testing.T) {
	for n := 0; ; n++ {
		w := orders(day, func(string) {})
		crashed := false
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
			pay := func(p Payment, want durable.Published) {
				t.Helper()
				if got, err := hook(context.Background(), e.Engine, p); err != nil || got != want {
					t.Errorf("%v: %+v, %v", p, got, err)
				}
			}
			pay(Payment{"p-1", "a", 300}, durable.Published{Kept: true})
			r := durabletest.Start(e, w, Order{ID: "a", Total: 1000}, durable.Key("a"))
			r.Settle()
			pay(Payment{"p-1", "a", 300}, durable.Published{Got: 1, Duplicate: true})
			pay(Payment{"p-2", "a", 300}, durable.Published{Got: 1})
			pay(Payment{"p-2", "a", 300}, durable.Published{Got: 1, Duplicate: true})
			pay(Payment{"p-9", "another", 700}, durable.Published{Kept: true})
			r.Settle()
			pay(Payment{"p-3", "a", 400}, durable.Published{Got: 1})
			if n > 0 {
				e.CrashAfter(n)
			}
			o := r.Done()
			if o.Status != "shipped" || o.Paid != 1000 || !slices.Equal(o.Payments, []string{"p-1", "p-2", "p-3"}) {
				t.Errorf("killed after commit %d: %+v", n, o)
			}
			crashed = e.Crashes() > 0
		})
		if n > 0 && !crashed {
			return
		}
	}
}

func TestWN3_NobodyPays(t *testing.T) {
	var did []string
	w := orders(day, func(what string) { did = append(did, what) })
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		begin := time.Now()
		r := durabletest.Start(e, w, Order{ID: "b", Total: 1000})
		e.Sleep(2 * day)
		if _, err := hook(context.Background(), e.Engine, Payment{"p-1", "b", 300}); err != nil {
			t.Error(err)
		}
		o := r.Done() // each payment gives three days more
		if took := time.Since(begin).Round(time.Minute); o.Status != "not paid in time" || took != 5*day {
			t.Errorf("%+v after %s", o, took)
		}
		if last := did[len(did)-1]; last != "the goods of b go back to the shelf, the money to who has paid" {
			t.Errorf("%q", did)
		}
	})
}

func TestRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "payment.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, db, 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	ends := []string{
		"parts: shipped; 900 of 900 paid with [p-2 p-3]", "early: shipped; 500 of 500 paid with [p-1]",
		"twice: shipped; 800 of 800 paid with [p-4 p-5]", "never: not paid in time; 0 of 100 paid with []",
	}
	for _, text := range append(ends, "p-1 for early: nobody waits for it yet", "p-4 for twice: it was told before") {
		if !strings.Contains(first.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &first)
		}
	}
	if err := run(t.Context(), &second, db, 500*time.Millisecond); err != nil { // the bank tells all of it again
		t.Fatal(err)
	}
	for _, text := range ends {
		if !strings.Contains(second.String(), text) {
			t.Errorf("the second start does not say %q:\n%s", text, &second)
		}
	}
	if n := strings.Count(second.String(), "told before"); n != 6 {
		t.Errorf("%d of 6 payments are known:\n%s", n, &second)
	}
}
