package durable_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// everyCrash runs a workflow straight through, then again and again with the worker
// killed after its first, second, third … commit. What is recorded and the end must be
// the same, and a kill makes at most width bodies begin again: so many run at once.
// bodies counts their beginnings; script is what people and others do to a run.
func everyCrash[S any](t *testing.T, e env, w *durable.Workflow[S], in S, width int, bodies *tally, script func(r *durabletest.Started[S])) {
	t.Helper()
	once := func(key string) (end string, facts []string, began int) {
		bodies.reset()
		r := durabletest.Start(e.Engine, w, in, durable.Key(key))
		if script != nil {
			script(r)
		}
		got, err := r.End()
		raw, jerr := json.Marshal(got)
		if jerr != nil {
			t.Fatal(jerr)
		}
		facts = story(e.facts(t, r.ID))
		slices.Sort(facts) // lanes come in any order
		return strings.ReplaceAll(fmt.Sprintf("%s %v", raw, err), r.ID.String(), "RUN"), facts, len(bodies.all())
	}
	end, facts, began := once("straight")
	for n := 1; ; n++ {
		crashes := e.Crashes()
		e.CrashAfter(n)
		got, gotFacts, gotBegan := once(fmt.Sprint(n))
		kills := e.Crashes() - crashes
		if got != end {
			t.Errorf("killed after commit %d: it ends with\n%s, want\n%s", n, got, end)
		}
		if !slices.Equal(gotFacts, facts) {
			t.Errorf("killed after commit %d: its facts are\n%s\nwant\n%s", n, strings.Join(gotFacts, "\n"), strings.Join(facts, "\n"))
		}
		if extra := gotBegan - began; extra > kills*width {
			t.Errorf("killed %d times, after commit %d: %d bodies too many: %q", kills, n, extra, bodies.all())
		}
		if kills == 0 {
			if n < 3 {
				t.Errorf("it took only %d commits", n)
			}
			return
		}
		if t.Failed() {
			return
		}
	}
}
