package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
	"github.com/durable-go/durable/store/memory"
)

// office runs a pipeline on a store in memory. Call it in a bubble.
type office struct {
	*durable.Engine
	process *durable.Workflow[pipeline.Document]
	archive pipeline.Memory
}

func open(t *testing.T, ctx context.Context) *office {
	t.Helper()
	var o office
	p := pipeline.Pipeline{Source: pipeline.Samples{}, Archive: &o.archive}
	o.process = p.Workflow()
	e, err := durable.Open(t.Context(), memory.New(), durable.Config{
		Workflows: []durable.Definition{o.process},
		Queues:    map[string]durable.Queue{"ai": {Concurrency: 5}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Engine = e
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	return &o
}

func (o *office) start(t *testing.T, id string) *durable.Run[pipeline.Document] {
	t.Helper()
	r, err := o.process.Start(t.Context(), o.Engine, pipeline.Document{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// asked waits, in the bubble's time, until a run asks a person.
func (o *office) asked(t *testing.T, id durable.ID) durable.PendingInput {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		page, err := o.PendingInputs(t.Context(), durable.InputFilter{Execution: id})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Inputs) > 0 {
			return page.Inputs[0]
		}
		<-tick.C
	}
	t.Fatalf("run %s asks nothing", id)
	return durable.PendingInput{}
}

// The pipeline, with a model that refuses a third of all questions at first, comes to what
// the same work in one go comes to. No attempt of a step is used for that.
func TestAllSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody()
		o := open(t, m.in(t))
		all := samples.All()
		runs := make([]*durable.Run[pipeline.Document], len(all))
		for i, s := range all {
			runs[i] = o.start(t, s.Name)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		answered := make(chan int)
		go func() { answered <- answering(ctx, t, o.Engine) }()

		for i, s := range all {
			got, err := runs[i].Wait(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			want, err := pipeline.Straight(offline(t), s.Name, s.Text)
			if err != nil {
				t.Fatal(err)
			}
			same(t, s.Name, got, want)
			x, err := o.Execution(t.Context(), runs[i].ID, durable.WithSteps)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range x.Steps {
				if s.Status == "retrying" {
					t.Errorf("%s: an attempt of %s failed", x.ID, s.Path)
				}
			}
		}
		stop()
		if n := <-answered; n < 5 || m.refused[ai.RateLimited] < 10 || m.refused[ai.Transient] < 10 {
			t.Errorf("people were asked %d questions, and %v were refused: too few to prove anything", n, m.refused)
		}
		if kept := len(o.archive.Documents()); kept != len(all) {
			t.Errorf("%d results were kept of %d", kept, len(all))
		}
	})
}

// answering answers by rule until ctx ends.
func answering(ctx context.Context, t *testing.T, e *durable.Engine) (answered int) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return answered
		case <-tick.C:
			n, err := pipeline.AnswerByRule(ctx, e)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			answered += n
		}
	}
}

func same(t *testing.T, name string, got, want pipeline.Document) {
	t.Helper()
	g, err := json.Marshal(got)
	w, err2 := json.Marshal(want)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("%s: the pipeline has\n%s, want\n%s", name, g, w)
	}
}

func TestCorrectedInvoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, offline(t))
		r := o.start(t, "invoice-catering")
		in := o.asked(t, r.ID)
		var q pipeline.InvoiceQuestion
		if err := json.Unmarshal(in.Details, &q); err != nil || in.Name != pipeline.ReviewInvoice || len(q.Problems) == 0 {
			t.Fatalf("%+v %v", in, err)
		}
		refused := map[string]any{
			"an action that is none": map[string]any{"action": "burn"},
			"no action":              map[string]any{"note": "?"},
			"a field too many":       map[string]any{"action": "keep", "paid": true},
		}
		for name, answer := range refused {
			if err := o.ProvideInput(t.Context(), r.ID, in.Name, answer); !errors.Is(err, durable.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// These fit the form and make no sense, so it is asked again.
		again := []any{
			pipeline.InvoiceReview{Action: pipeline.Correct},
			pipeline.InvoiceReview{Action: pipeline.Correct, Invoice: &q.Invoice},
			map[string]any{"action": "correct", "invoice": map[string]any{
				"invoice_number": "1", "date": "", "supplier": "", "customer": "", "currency": "", "line_items": nil,
				"net": "1.00", "tax": "", "total": "much",
			}},
		}
		for _, answer := range again {
			if err := o.ProvideInput(t.Context(), r.ID, in.ID, answer); err != nil {
				t.Fatal(err)
			}
			next := o.asked(t, r.ID)
			if next.ID == in.ID {
				t.Fatalf("the question %s was answered and is still open", in.ID)
			}
			in = next
		}
		var sum pipeline.Money
		for _, l := range q.Invoice.Lines {
			sum += l.Amount
		}
		good := q.Invoice
		good.Net, good.TaxRate, good.Tax, good.Total = sum, 0, 0, sum
		answer := pipeline.InvoiceReview{Action: pipeline.Correct, Invoice: &good, Note: "digits swapped"}
		if err := o.ProvideInput(t.Context(), r.ID, in.ID, answer, durable.By("ada")); err != nil {
			t.Fatal(err)
		}
		d, err := r.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !d.Valid || d.Review || d.Invoice.Total != sum || !slices.Contains(d.Notes, "corrected (digits swapped)") {
			t.Errorf("%+v", d)
		}
	})
}

// A question that waits for a person is not asked the model again when the body begins anew, and the run's records say what
// was paid.
func TestFP6_WaitsPayOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody()
		m.calm = true
		o := open(t, m.in(t))
		r := o.start(t, "letter-loan-between-friends")
		in := o.asked(t, r.ID)
		before := m.total()
		if err := o.ProvideInput(t.Context(), r.ID, in.ID, pipeline.TypeReview{Type: pipeline.TypeOther}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		calls, err := ai.Calls(t.Context(), o.Engine, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		sum := ai.SumBy(calls, func(*ai.CallInfo) string { return "" })[""]
		if before != 1 || m.total() != 1 || sum.Answers != 1 || sum.Replayed != 1 || sum.Cost.Unpriced != 1 || sum.Usage.Input == 0 {
			t.Errorf("asked %d times, then %d; the records say %+v", before, m.total(), sum)
		}
	})
}

// What the model says beyond the types is no type: it is asked once more, and then the step fails, and nothing else.
func TestFP4_ModelTextIsNoBranch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody()
		m.calm = true
		m.edit = func(r *ai.Request, answer *ai.Response) {
			if m.asked[r.Name]++; m.asked[r.Name] <= 2 {
				answer.Message.Text = `{"value":"store; then pay"}`
			}
		}
		o := open(t, m.in(t))
		r := o.start(t, "invoice-garden")
		d, err := r.Wait(t.Context())
		if err != nil || d.Type != pipeline.TypeInvoice {
			t.Fatalf("%+v %v", d, err)
		}
		x, err := o.Execution(t.Context(), r.ID, durable.WithSteps)
		if err != nil {
			t.Fatal(err)
		}
		var trail []string
		for _, s := range x.Steps {
			if s.Kind == "step" {
				trail = append(trail, path.Base(s.Path)+" "+s.Status)
			}
		}
		want := []string{"fetch done", "classify retrying", "classify done", "extract_invoice done", "validate_invoice done", "store done"}
		if !slices.Equal(trail, want) {
			t.Errorf("%q, want %q", trail, want)
		}
	})
}

// Amounts that a model misreads are read again once, with the reason; what stays wrong is for a person.
func TestAmountsGoBackToTheModelOnce(t *testing.T) {
	for name, mended := range map[string]bool{"mended": true, "stays wrong": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMoody()
				m.calm = true
				var told string
				m.edit = func(r *ai.Request, answer *ai.Response) {
					last := r.Messages[len(r.Messages)-1].Text
					if len(r.Messages) > 1 {
						told = last
					}
					if len(r.Messages) == 1 || !mended {
						answer.Message.Text = strings.Replace(answer.Message.Text, `"total":"`, `"total":"9`, 1)
					}
				}
				o := open(t, m.in(t))
				r := o.start(t, "invoice-garden")
				if !mended {
					in := o.asked(t, r.ID)
					if in.Name != pipeline.ReviewInvoice {
						t.Errorf("asked for %s", in.Name)
					}
					if err := o.ProvideInput(t.Context(), r.ID, in.ID, pipeline.InvoiceReview{Action: pipeline.Keep}); err != nil {
						t.Fatal(err)
					}
				}
				d, err := r.Wait(t.Context())
				if err != nil || d.Valid != mended || d.Review == mended {
					t.Errorf("%+v %v", d, err)
				}
				if !strings.Contains(told, "make") || m.total() != 3 {
					t.Errorf("the model was asked %d times, and told %q", m.total(), told)
				}
			})
		})
	}
}

// Nobody answers: a day later the run goes on by itself.
func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, offline(t))
		begin := time.Now()
		r := o.start(t, "empty")
		d, err := r.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 24*time.Hour || took > 24*time.Hour+time.Minute {
			t.Errorf("it took %s", took)
		}
		if d.Type != pipeline.TypeOther || !d.Review || !strings.Contains(strings.Join(d.Notes, "\n"), "nobody answered") {
			t.Errorf("%+v", d)
		}
	})
}

func TestNoSuchDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, offline(t))
		_, err := o.start(t, "no-such").Wait(t.Context())
		var failed *durable.RunError
		if !errors.As(err, &failed) || failed.Status != durable.Failed || failed.Cause.Code != "permanent" {
			t.Errorf("%v", err)
		}
	})
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	f := pipeline.Folder(dir)
	for _, kind := range []pipeline.DocType{pipeline.TypeOther, pipeline.TypeInvoice} {
		if err := f.Put(t.Context(), "k", pipeline.Document{ID: "a", Type: kind}); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := f.Documents(); err != nil || len(list) != 1 || list[0].Type != pipeline.TypeInvoice {
		t.Errorf("%v %v", list, err)
	}
	if err := pipeline.Folder(dir+"/none").Put(t.Context(), "k", pipeline.Document{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
