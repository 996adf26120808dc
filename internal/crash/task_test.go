//go:build fail

package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
)

// add wants another run. Its key is unique, so that a start whose ack was lost
// can be repeated.
func (w *world) add(t *task) {
	if t.tag == "" {
		t.key = "k" + strconv.Itoa(len(w.tasks))
	}
	w.tasks = append(w.tasks, t)
	w.settled = false
	for _, p := range w.live {
		p.asked = false
	}
}

// into compares a run's last state with what it must be.
func into[S any](check func(s S) string) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var s S
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		if text := check(s); text != "" {
			return fmt.Errorf("%s; the state is %s", text, raw)
		}
		return nil
	}
}

func (w *world) addLoop(limit int) {
	w.add(&task{workflow: "loop", input: sum{Limit: limit}, want: wantSum(limit)})
}

func wantSum(limit int) func(json.RawMessage) error {
	return into(func(s sum) string {
		if s.N != limit || s.Sum != limit*(limit+1)/2 {
			return fmt.Sprintf("the sum to %d is wrong", limit)
		}
		return ""
	})
}

// addUntraceable wants a run without a key: if its start is not acknowledged,
// it is there once or not at all.
func (w *world) addUntraceable() {
	w.add(&task{workflow: "loop", tag: "t" + strconv.Itoa(len(w.tasks)), input: sum{Limit: 2}, want: wantSum(2)})
}

func (w *world) addWaits() {
	n := 100 * (len(w.tasks) + 1)
	w.add(&task{workflow: "waits", input: mail{}, sends: []int{n, n + 1}, want: into(func(m mail) string {
		if !slices.Equal(m.Got, []int{n, n + 1}) || m.Late != 7 {
			return fmt.Sprintf("events %d and %d, then 7, must have come", n, n+1)
		}
		return ""
	})})
}

func (w *world) addWays(kind string) {
	took := map[string][]string{"a": {"one", "two", "last"}, "b": {"flaky", "last"}, "c": {"other", "last"}}[kind]
	w.add(&task{workflow: "ways", input: way{Kind: kind}, want: into(func(s way) string {
		if !slices.Equal(s.Took, took) {
			return fmt.Sprintf("kind %s must take %v", kind, took)
		}
		return ""
	})})
}

func (w *world) addOnce() {
	w.add(&task{workflow: "once", input: charge{Amount: 5}, want: into(func(c charge) string {
		if c.Amount != 5 || c.By == "" {
			return "it is not charged"
		}
		return ""
	})})
}

func (w *world) addCalls() {
	w.add(&task{workflow: "calls", input: nonces{}, want: into(func(s nonces) string {
		if len(s.All) != 3 || s.All[0] == s.All[1] || s.All[1] == s.All[2] {
			return "three different results must be there"
		}
		return ""
	})})
}

func (w *world) addTransfer(keyed bool) {
	w.add(&task{workflow: "transfer", input: order{From: 1, To: 2, Amount: 2 * (1 + w.rng.IntN(50)), Keyed: keyed}})
}

func (w *world) addCancelled() {
	w.add(&task{workflow: "forever", input: mail{}, cancel: true})
}

// addDocument wants a sample to be read, with what the same work in one go
// comes to as the result.
func (w *world) addDocument(t testing.TB, name string) {
	t.Helper()
	s, ok := samples.Get(name)
	if !ok {
		t.Fatalf("there is no sample %q", name)
	}
	client, err := pipeline.Offline()
	if err != nil {
		t.Fatal(err)
	}
	want, err := pipeline.Straight(ai.WithClient(t.Context(), client), name, s.Text)
	if err != nil {
		t.Fatal(err)
	}
	w.add(&task{workflow: pipeline.Name, input: pipeline.Document{ID: name}, want: into(func(got pipeline.Document) string {
		g, err := json.Marshal(got)
		if err != nil {
			return err.Error()
		}
		if x, err := json.Marshal(want); err != nil || !bytes.Equal(g, x) {
			return fmt.Sprintf("%s must come to %s (%v)", name, x, err)
		}
		return ""
	})})
}

// papers are samples that take every way, two of them with a question.
func papers() []string {
	return []string{"invoice-catering", "contract-nda", "letter-complaint", "empty", "invoice-garden"}
}

// kinds are the workloads, by a name for subtests.
func kinds() []string {
	return []string{"documents", "loop", "waits", "ways", "once", "calls", "bank", "booked", "fan", "party", "tells"}
}

// fillWith adds the tasks of one workload.
func (w *world) fillWith(t testing.TB, kind string) {
	t.Helper()
	switch kind {
	case "documents":
		for _, name := range papers() {
			w.addDocument(t, name)
		}
	case "loop":
		w.addLoop(5)
		w.addUntraceable()
		w.addLoop(9)
		w.addUntraceable()
	case "waits":
		w.addWaits()
		w.addCancelled()
		w.addWaits()
	case "ways":
		for _, kind := range []string{"a", "b", "c"} {
			w.addWays(kind)
		}
	case "once":
		w.addOnce()
		w.addOnce()
	case "calls":
		w.addCalls()
		w.addCalls()
	case "bank":
		for i := range 4 {
			w.addTransfer(i%2 == 0)
		}
	case "booked":
		w.addBooked(3)
		w.addBooked(4)
	case "fan":
		w.addFan(5)
		w.addFan(4)
	case "party":
		w.addParty(3, false)
		w.addParty(4, true)
	case "tells":
		w.addTell(3, 2)
		w.addTell(2, 5)
	case "mix":
		for _, kind := range kinds() {
			w.fillWith(t, kind)
		}
	case "long": // long enough for a snapshot
		w.addLoop(270)
	default:
		t.Fatalf("there is no workload %q", kind)
	}
}
