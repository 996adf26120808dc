//go:build fail

package crash

import (
	"fmt"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/fail"
)

// case of a label: how to bring a process to it.
type labelCase struct {
	kind  string // what runs beside the mix, so that the label is reached
	first string // killed: a worker dies before; stop: the worker is told to stop
	hits  int    // so many hits are certain in one process; 0 is 3
}

// cases has a crash case for every label. A label without one fails the test.
func cases() map[fail.Label]labelCase {
	return map[fail.Label]labelCase{
		fail.OpenFile: {hits: 1}, fail.OpenLog: {hits: 1},
		fail.MigrateScript: {hits: 1}, fail.MigrateCommit: {hits: 1}, fail.MigrateDone: {hits: 1},
		fail.StartBefore: {}, fail.StartAfter: {},
		fail.ClaimBefore: {}, fail.ClaimTaken: {}, fail.ClaimAfter: {},
		fail.Load:  {hits: 1},
		fail.Tried: {}, fail.BodyBefore: {}, fail.BodyAfter: {}, fail.DoBefore: {}, fail.DoAfter: {},
		fail.CommitBefore: {}, fail.CommitBetween: {}, fail.CommitFlush: {}, fail.CommitAfter: {},
		fail.TxBefore: {}, fail.TxFlush: {}, fail.TxAfter: {},
		fail.Snapshot: {kind: "long", hits: 1},
		fail.WaitOpen: {}, fail.LogFlush: {hits: 2}, fail.StreamFlush: {hits: 2}, fail.Release: {}, fail.Control: {hits: 1},
		fail.DeliverBetween: {}, fail.Wake: {},
		fail.RenewBefore: {hits: 1}, fail.RenewAfter: {hits: 1},
		fail.ExpireBefore:  {first: "killed", hits: 1},
		fail.DisownBetween: {first: "killed", hits: 1},
		fail.StopBefore:    {first: "stop", hits: 1},
		fail.RetireBefore:  {first: "stop", hits: 1}, fail.RetireAfter: {first: "stop", hits: 1},
	}
}

// A worker dies at each label, at its first, second and third hit; others go on
// until all is done. With 100 cycles or more, each kind of run is alone too.
func TestLabels(t *testing.T) {
	t.Parallel()
	onStores(t, labels)
}

func labels(t *testing.T, fresh fresh) {
	s := seed(t)
	for _, l := range fail.Labels() {
		c, ok := cases()[l]
		if strings.HasPrefix(string(l), "open.") && fresh(t, s).schema != "" {
			continue // a server has no file
		}
		if !ok {
			t.Errorf("label %s has no crash case", l)
			continue
		}
		for hit := 1; hit <= 3; hit++ {
			t.Run(fmt.Sprintf("%s@%d", l, hit), func(t *testing.T) {
				t.Parallel()
				dieAt(t, fresh(t, s), l, c, hit, "mix")
			})
			if cycles() < 100 {
				continue
			}
			for _, kind := range kinds() {
				t.Run(fmt.Sprintf("%s@%d/%s", l, hit, kind), func(t *testing.T) {
					t.Parallel()
					dieAt(t, fresh(t, s), l, c, hit, kind)
				})
			}
		}
	}
}

func dieAt(t *testing.T, w *world, l fail.Label, c labelCase, hit int, kind string) {
	w.fillWith(t, kind)
	if c.kind != "" {
		w.fillWith(t, c.kind)
	}
	died := 0
	if c.first == "killed" { // in a body, so that it surely leaves a run behind
		first := w.spawn(fmt.Sprintf("%s=kill@1", fail.BodyAfter))
		w.until("the first has died", func() bool { return !w.lives(first) })
		died++
	}
	before := len(w.fired)
	p := w.spawn(fmt.Sprintf("%s=kill@%d", l, hit))
	if c.first == "stop" {
		w.until("it is busy", func() bool { return p.busy || !w.lives(p) })
	} else {
		w.until("it dies or all is done", func() bool { return !w.lives(p) || w.all() })
	}
	if w.lives(p) { // told to stop, it may reach more labels
		w.stop(p)
	}
	fired := len(w.fired) == before+1 && strings.HasPrefix(w.fired[before], string(l)+" ")
	certain := c.hits
	if certain == 0 {
		certain = 3
	}
	if l == fail.Load && w.schema != "" {
		certain = 0 // there a message rarely comes while its run is in hand
	}
	if !fired && kind == "mix" && hit <= certain {
		t.Errorf("the worker did not come to %s a time %d", l, hit)
	}
	if fired {
		died++
	}
	w.finish()
	w.verify()
	if len(w.deaths) != died {
		t.Errorf("%d deaths, want %d", len(w.deaths), died)
	}
}

// A store whose requests and replies get lost fails no run and uses up no
// attempt: nobody died, so nothing may have run twice.
func TestQU8_LostRequestsAndReplies(t *testing.T) {
	t.Parallel()
	onStores(t, lostReplies)
}

func lostReplies(t *testing.T, fresh fresh) {
	for _, what := range []string{
		"commit.before=error@3-6", "commit.after=error@3-6", "commit.after=error@9",
		"tx.after=error@1,commit.after=error@9", "tx.after=error@2-4",
		"claim.before=error@2-5", "claim.after=error@2-5",
		"commit.before=error@2-3,commit.after=error@7-8,claim.after=error@2,renew.after=error@2",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := fresh(t, seed(t))
			w.fillWith(t, "mix")
			p := w.spawn(what)
			w.finish()
			r := w.verify()
			if strings.Contains(p.text(), "panic") || !strings.Contains(p.text(), "an injected error") {
				t.Errorf("the log:\n%s", tail(p.text(), 3000))
			}
			if r.Crashed != 0 {
				t.Errorf("%s", r)
			}
			t.Log(r)
		})
	}
}
