package chaos

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/cmd/durable/internal/demo"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// history is a round of a few documents, run by one worker that nobody kills.
type history struct {
	engine  *durable.Engine
	tasks   []task
	ledger  []entry
	paid    []aitest.Call
	results string
}

func newHistory(t *testing.T) *history {
	t.Helper()
	dir := t.TempDir()
	var till till
	standIn, err := demo.Serve(t.Context(), demo.Manners{Faults: true, Seed: 3, Seen: till.seen})
	if err != nil {
		t.Fatal(err)
	}
	defer standIn.Close()
	w := Worker{Number: 1, DB: filepath.Join(dir, "db"), Ledger: filepath.Join(dir, "ledger"), Results: filepath.Join(dir, "results"), Model: standIn.URL, Lease: time.Second}
	if err := os.Mkdir(w.Results, 0o700); err != nil {
		t.Fatal(err)
	}
	e, process, err := w.open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &history{engine: e, results: w.Results}
	all, err := demo.Documents("")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all[:10] {
		r, err := process.Start(t.Context(), e, pipeline.Document{ID: d.ID})
		if err != nil {
			t.Fatal(err)
		}
		h.tasks = append(h.tasks, task{d, r.ID})
	}
	in, stop := io.Pipe()
	worked := make(chan error, 1)
	go func() { worked <- Work(t.Context(), w, in, io.Discard) }()
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	go func() {
		for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if _, err := pipeline.AnswerByRule(ctx, e); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	}()
	for _, task := range h.tasks {
		if _, err := process.Attach(e, task.run).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stop.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-worked; err != nil {
		t.Fatal(err)
	}
	r := reader{path: w.Ledger}
	if err := r.read(); err != nil {
		t.Fatal(err)
	}
	if err := standIn.Close(); err != nil {
		t.Fatal(err)
	}
	h.ledger, h.paid = r.all, till.all()
	return h
}

func (h *history) judge(t *testing.T) *Verdict {
	t.Helper()
	v, err := judge(t.Context(), h.engine, h.tasks, h.ledger, h.paid, map[int]bool{}, pipeline.Folder(h.results))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The judge finds nothing where nothing is wrong, and finds each lie.
func TestJudge(t *testing.T) {
	h := newHistory(t)
	v := h.judge(t)
	if len(v.Lost)+len(v.Unexplained) != 0 || v.Compared != 10 || v.Bodies < v.Steps || v.Resumed == 0 {
		t.Fatalf("%+v", v)
	}
	if b := v.Bill; b.Recorded < 15 || b.Paid != b.Recorded+b.Broken || b.Broken == 0 || b.Refused == 0 || b.Replayed == 0 || b.Twice+b.CutOff+b.PossiblyPaid != 0 || b.Usage.Total() == 0 {
		t.Fatalf("%+v", b)
	}
	find := func(what entry) int {
		i := slices.IndexFunc(h.ledger, func(e entry) bool { return e.What == what.What && strings.HasSuffix(e.Path, what.Path) })
		if i < 0 {
			t.Fatalf("no %+v in the ledger", what)
		}
		return i
	}
	first := entry{What: began, Path: "store"}
	for name, c := range map[string]struct {
		lie         func(h *history)
		lost        string
		unexplained string
	}{
		"a body ran twice and nobody died": {func(h *history) {
			i := find(first)
			h.ledger = slices.Insert(h.ledger, i, h.ledger[i])
		}, "", "attempt 1 of worker 1 (killed: false) did not end, the journal says done"},
		"a body that returned ran again": {func(h *history) {
			i := find(entry{What: returned, Path: "fetch"})
			again := h.ledger[i]
			again.What = began
			h.ledger = append(h.ledger, again)
		}, "", "returned, the journal says done"},
		"a step is done and its body never returned": {func(h *history) {
			i := find(entry{What: returned, Path: "fetch"})
			h.ledger = slices.Delete(h.ledger, i, i+1)
		}, "", "its body never returned"},
		"bodies of a run that nobody started": {func(h *history) {
			h.ledger = append(h.ledger, entry{Run: durable.ID{1}, What: began, Path: "fetch"})
		}, "", "nobody started it"},
		"a run is gone":  {func(h *history) { h.tasks = append(h.tasks, task{h.tasks[0].doc, durable.ID{2}}) }, "not found", ""},
		"another result": {func(h *history) { h.tasks[0].doc.Text += "." }, "has another result", ""},
		"an archive with a hole": {func(h *history) {
			h.results = copyOf(t, h.results)
			if err := os.Remove(archived(t, h.results)); err != nil {
				t.Fatal(err)
			}
		}, "not in the archive", ""},
		"an answer was paid twice": {func(h *history) {
			i := slices.IndexFunc(h.paid, func(c aitest.Call) bool { return c.Paid && c.Delivered })
			again := h.paid[i]
			again.RequestID = "req_again"
			h.paid = append(h.paid, again)
		}, "", "request req_again of step"},
		"an answer that is in a journal was never sent": {func(h *history) {
			i := slices.IndexFunc(h.paid, func(c aitest.Call) bool { return c.Paid && c.Delivered })
			h.paid = slices.Delete(h.paid, i, i+1)
		}, "", "the server has sent none"},
		"an archive with a result twice": {func(h *history) {
			h.results = copyOf(t, h.results)
			b, err := os.ReadFile(archived(t, h.results))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(h.results, "again.json"), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "", "too many are in the archive"},
	} {
		liar := &history{h.engine, slices.Clone(h.tasks), slices.Clone(h.ledger), slices.Clone(h.paid), h.results}
		c.lie(liar)
		v := liar.judge(t)
		lost, unexplained := strings.Join(v.Lost, "\n"), strings.Join(v.Unexplained, "\n")
		if (c.lost == "") != (lost == "") && c.lost != "" || !strings.Contains(lost, c.lost) || !strings.Contains(unexplained, c.unexplained) {
			t.Errorf("%s: lost %q, unexplained %q", name, lost, unexplained)
		}
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func archived(t *testing.T, dir string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(list) == 0 {
		t.Fatalf("%v %v", list, err)
	}
	return list[0]
}

// A line that is being written is read when it is whole.
func TestReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	line := []byte(`{"worker":1,"run":"00000000-0000-0000-0000-000000000001","doc":"a","path":"fetch","attempt":1,"what":"began"}` + "\n")
	r := reader{path: path}
	if err := r.read(); err != nil || len(r.all) != 0 {
		t.Fatalf("%v %v", r.all, err)
	}
	for _, n := range []int{10, len(line) - 1, len(line), len(line) + 5} {
		if err := os.WriteFile(path, bytes.Repeat(line, 2)[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.read(); err != nil || len(r.all) != n/len(line) {
			t.Errorf("of %d bytes: %v %v", n, r.all, err)
		}
	}
	if open := r.open(1); len(open) != 1 || open[0].Path != "fetch" {
		t.Errorf("%+v", open)
	}
}

// A worker that is told to stop while it starts has done nothing wrong.
func TestWorkerStopsWhileItStarts(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := Worker{Number: 1, DB: filepath.Join(dir, "db"), Ledger: filepath.Join(dir, "ledger"), Results: dir, Lease: time.Second}
	if err := Work(ctx, w, strings.NewReader(""), io.Discard); err != nil {
		t.Error(err)
	}
}
