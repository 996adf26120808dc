package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

const want = "sales 12,480 EUR, stock 3 articles are low, tickets 7 open, weather unknown"

// In virtual time, with the worker killed after each of its commits.
func TestPA1_PA6_OneSourceIsDown(t *testing.T) {
	for n := 0; ; n++ {
		w := dashboards(sources{slow: 10 * time.Second, failed: new(atomic.Int32)})
		crashed := false
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
			if n > 0 {
				e.CrashAfter(n)
			}
			begin := time.Now()
			r := durabletest.Start(e, w, Dashboard{Day: "Monday"}, durable.Key("Monday"))
			d := r.Done()
			if d.Text != want || !slices.Equal(d.Missing, []string{"weather"}) {
				t.Errorf("killed after commit %d: %+v", n, d)
			}
			// Three tries of one source and their pauses, whatever the others do.
			if took := time.Since(begin); n == 0 && (took < 30*time.Second || took > 40*time.Second) {
				t.Errorf("it took %s", took)
			}
			crashed = e.Crashes() > 0
		})
		if n > 0 && !crashed {
			return
		}
	}
}

func TestRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "dashboard.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, db, "Monday"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Monday: " + want, "sources[tickets]/tickets try 2: done", "weather did not answer"} {
		if !strings.Contains(first.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &first)
		}
	}
	if err := run(t.Context(), &second, db, "Monday"); err != nil { // finds what is built
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}
