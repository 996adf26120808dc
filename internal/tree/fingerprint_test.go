package tree

import (
	"testing"
	"time"
)

// sample has every kind. It must not change: its fingerprint is stored in
// databases.
func sample() *Workflow {
	w := workflow(
		step("classify"),
		branch("by_type", way("invoice", step("extract"), seq("check", step("sum"))), way("")).otherwise(step("other")),
		loop("agent", step("model"), step("tool")),
	)
	w.Version = "2"
	return w
}

// The golden value may never change: it is beside every blocked execution.
func TestFingerprintIsStable(t *testing.T) {
	const golden = "179c46f707e4bfdd"
	if got := Fingerprint(sample()); got != golden {
		t.Errorf("%s, was %s in earlier releases", got, golden)
	}
}

func TestFingerprintFollowsShape(t *testing.T) {
	seen := map[string]string{Fingerprint(sample()): "the sample"}
	for what, change := range map[string]func(w *Workflow){
		"name":            func(w *Workflow) { w.Name = "other" },
		"version":         func(w *Workflow) { w.Version = "3" },
		"renamed":         func(w *Workflow) { w.Root.Body[0].Name = "x" },
		"added":           func(w *Workflow) { w.Root.Body = append(w.Root.Body, step("more")) },
		"removed":         func(w *Workflow) { w.Root.Body = w.Root.Body[1:] },
		"reordered":       func(w *Workflow) { b := w.Root.Body; b[0], b[1] = b[1], b[0] },
		"other kind":      func(w *Workflow) { w.Root.Body[2].Kind = Sequence },
		"other key":       func(w *Workflow) { w.Root.Body[1].Cases[0].Key = "bill" },
		"case removed":    func(w *Workflow) { w.Root.Body[1].Cases = w.Root.Body[1].Cases[:1] },
		"empty default":   func(w *Workflow) { w.Root.Body[1].Default = nil },
		"undone":          func(w *Workflow) { w.Root.Body[0].Undo = &Retry{MaxAttempts: 1} },
		"no default":      func(w *Workflow) { w.Root.Body[1].Else, w.Root.Body[1].Default = false, nil },
		"reads":           func(w *Workflow) { w.Root.Body[0].Reads = "x" },
		"reads more":      func(w *Workflow) { w.Root.Body[0].Reads = "xy" },
		"in the sequence": func(w *Workflow) { w.Root.Body[1].Cases[0].Body[1].Body[0].Name = "x" },
		"out of it": func(w *Workflow) {
			c := &w.Root.Body[1].Cases[0]
			c.Body = append(c.Body, c.Body[1].Body...)
			c.Body[1].Body = nil
		},
	} {
		w := sample()
		change(w)
		f := Fingerprint(w)
		if other, ok := seen[f]; ok {
			t.Errorf("%q has the fingerprint of %s", what, other)
		}
		seen[f] = what
	}
}

func TestFingerprintIgnoresPolicy(t *testing.T) {
	w := sample()
	w.Queue = "slow"
	Walk(w, func(n *Node) {
		n.Queue, n.Timeout, n.Max = "gpu", time.Hour, 7
		n.Retry = &Retry{MaxAttempts: 3}
		n.AtMostOnce, n.Reconciles = true, true
		n.Place = "elsewhere"
	})
	if Fingerprint(w) != Fingerprint(sample()) {
		t.Error("changing a policy changed the fingerprint")
	}
}
