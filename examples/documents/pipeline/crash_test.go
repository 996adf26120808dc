package pipeline_test

import (
	"fmt"
	"path"
	"slices"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
)

// config is that of a worker, with the pipeline declared anew, as a deploy does.
func config(archive *pipeline.Memory) (durable.Config, *durable.Workflow[pipeline.Document]) {
	p := pipeline.Pipeline{Source: pipeline.Samples{}, Archive: archive}
	w := p.Workflow()
	return durable.Config{
		Workflows: []durable.Definition{w}, Queues: map[string]durable.Queue{"ai": {Concurrency: 5}},
	}, w
}

// trail is the steps that are done, in their order.
func trail(x *durable.Execution) (list []string) {
	for _, s := range x.Steps {
		if s.Kind == "step" && s.Status == "done" {
			list = append(list, path.Base(s.Path))
		}
	}
	return list
}

// Killed after each of its commits in turn, a document takes its route, comes to what it must come to, and pays once for
// each question, but for one that a kill interrupts.
func TestFP2_FP6_CrashAfterEveryCommit(t *testing.T) {
	for name, c := range map[string]struct {
		route  []string
		answer map[string]any
		calls  int
	}{
		"invoice-garden": {[]string{"fetch", "classify", "extract_invoice", "validate_invoice", "store"}, nil, 2},
		"invoice-catering": {
			[]string{"fetch", "classify", "extract_invoice", "validate_invoice", "store"},
			map[string]any{pipeline.ReviewInvoice: pipeline.InvoiceByRule(pipeline.InvoiceQuestion{})},
			3,
		},
		"contract-nda": {[]string{"fetch", "classify", "extract_contract", "store"}, nil, 2},
		"quotation-solar": {
			[]string{"fetch", "classify", "flag_for_review", "store"},
			map[string]any{pipeline.ReviewType: pipeline.TypeByRule(pipeline.TypeQuestion{})},
			1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := samples.Get(name)
			want, err := pipeline.Straight(offline(t), name, s.Text)
			if err != nil {
				t.Fatal(err)
			}
			m := newMoody()
			m.calm = true
			var archive pipeline.Memory
			cfg, w := config(&archive)
			durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
				for n := 1; ; n++ {
					before, crashes := m.total(), e.Crashes()
					e.CrashAfter(n)
					r := durabletest.Start(e, w, pipeline.Document{ID: name}, durable.Key(fmt.Sprint(n)))
					for input, answer := range c.answer {
						r.WillAnswer(input, answer)
					}
					same(t, fmt.Sprintf("killed after commit %d", n), r.Done(), want)
					kills, sent := e.Crashes()-crashes, m.total()-before
					x, err := e.Execution(t.Context(), r.ID, durable.WithSteps)
					if err != nil {
						t.Fatal(err)
					}
					if got := trail(x); !slices.Equal(got, c.route) {
						t.Errorf("killed after commit %d: %q", n, got)
					}
					calls, err := ai.Calls(t.Context(), e.Engine, r.ID)
					if err != nil {
						t.Fatal(err)
					}
					var sum ai.Sum
					for i := range calls {
						sum.Add(&calls[i])
					}
					if sum.Answers != c.calls || sent < c.calls || sent > c.calls+sum.PossiblyPaid || sum.PossiblyPaid > kills {
						t.Errorf("killed %d times, after commit %d: %d requests for %d questions; recorded %+v", kills, n, sent, c.calls, sum)
					}
					if kills == 0 {
						if n < 8 {
							t.Errorf("the run took only %d commits", n)
						}
						return
					}
				}
			}, durabletest.Context(m.in(t)))
		})
	}
}

// A deploy while a person is asked inside of a branch: the new code goes on at that step, in that case, and asks
// the model nothing.
func TestFP3_FP7_DeployInsideTheBranch(t *testing.T) {
	m := newMoody()
	m.calm = true
	var archive pipeline.Memory
	cfg, w := config(&archive)
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, pipeline.Document{ID: "invoice-catering"})
		r.Settle()
		before := m.total()
		next, _ := config(&archive)
		e.Deploy(next)
		r.WillAnswer(pipeline.ReviewInvoice, pipeline.InvoiceReview{Action: pipeline.Keep})
		d := r.Done()
		if !d.Review || d.Type != pipeline.TypeInvoice || m.total() != before || len(archive.Documents()) != 1 {
			t.Errorf("%+v; the model was asked %d times, then %d", d, before, m.total())
		}
		x, err := e.Execution(t.Context(), r.ID, durable.WithSteps)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"fetch", "classify", "extract_invoice", "validate_invoice", "store"}; x.Status != durable.Completed || len(x.State) == 0 || !slices.Equal(trail(x), want) {
			t.Errorf("%s: %q", x.Status, trail(x))
		}
	}, durabletest.Context(m.in(t)))
}
