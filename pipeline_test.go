package durable_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

// The document pipeline is the first workflow this engine is for: a chain of
// paid calls of a model that are slow, fail at times, and are unsure at times.

type document struct {
	ID       string   `json:"doc_id"`
	Content  string   `json:"content,omitempty"`
	Type     string   `json:"doc_type,omitempty"`
	Invoice  *invoice `json:"invoice,omitempty"`
	Contract string   `json:"contract,omitempty"`
	Valid    bool     `json:"valid,omitempty"`
	Review   bool     `json:"needs_review,omitempty"`
	Stored   bool     `json:"stored,omitempty"`
}

type invoice struct {
	Total int `json:"total"`
}

type opinion struct {
	Kind       string  `json:"kind"`
	Confidence float64 `json:"confidence"`
}

type verdict struct {
	Kind string `json:"kind"`
}

// pipeline is the workflow with its fake outside.
type pipeline struct {
	bodies, paid tally
	pause        time.Duration // of each body
	begun        chan string   // if not nil: each body reports
}

var paidRetry = durable.Retry{MaxAttempts: 3, Backoff: durable.Exponential, Jitter: durable.NoJitter}

func (p *pipeline) step(name string, fn func(ctx context.Context, d *document) error) *durable.StepNode[document] {
	return durable.Step(name, func(ctx context.Context, d *document) error {
		p.bodies.add(name)
		if p.begun != nil {
			p.begun <- name
		}
		if p.pause > 0 {
			if err := rest(ctx, p.pause); err != nil {
				return err
			}
		}
		return fn(ctx, d)
	})
}

func (p *pipeline) define(extra ...durable.Node[document]) *durable.Workflow[document] {
	branch := durable.Branch("by_type", func(d *document) string { return d.Type })
	if len(extra) > 0 { // a later version of the code
		branch.Case("receipt", extra...)
	}
	return durable.Define("process_document",
		p.step("fetch", func(_ context.Context, d *document) error {
			if d.Content == "" {
				d.Content = "invoice over 100"
			}
			return nil
		}),
		p.step("classify", p.classify).Retry(paidRetry).Queue("ai"),
		branch.
			Case("invoice",
				p.step("extract_invoice", p.extract).Retry(paidRetry).Queue("ai"),
				p.step("validate_invoice", func(_ context.Context, d *document) error {
					d.Valid = d.Invoice.Total > 0
					return nil
				})).
			Case("contract",
				p.step("extract_contract", func(_ context.Context, d *document) error {
					d.Contract = "parties"
					return nil
				}).Retry(paidRetry).Queue("ai")).
			Default(
				p.step("flag_for_review", func(_ context.Context, d *document) error {
					d.Review = true
					return nil
				})),
		p.step("store", func(_ context.Context, d *document) error {
			d.Stored = true
			return nil
		}))
}

func (p *pipeline) classify(ctx context.Context, d *document) error {
	o, err := durable.Do(ctx, "model", func(context.Context) (opinion, error) {
		p.paid.add("classify " + d.ID)
		switch d.Content {
		case "unclear":
			return opinion{Kind: "letter", Confidence: 0.3}, nil
		case "contract":
			return opinion{Kind: "contract", Confidence: 0.9}, nil
		case "poem":
			return opinion{Kind: "poem", Confidence: 0.9}, nil
		}
		return opinion{Kind: "invoice", Confidence: 0.9}, nil
	})
	if err != nil {
		return err
	}
	if d.Content == "babble" {
		if info, _ := durable.Info(ctx); info.Failures < 2 {
			return errors.New("the model's answer is no document type")
		}
	}
	d.Type = o.Kind
	if o.Confidence > 0.5 {
		return nil
	}
	v, err := durable.WaitForInput[verdict](ctx, "human_review", durable.Timeout(24*time.Hour), durable.Prompt("What is this?"))
	if err != nil {
		return err
	}
	d.Type = v.Kind
	return nil
}

// extract is refused at first: every run of the invoice has a retry in it.
func (p *pipeline) extract(ctx context.Context, d *document) error {
	if info, _ := durable.Info(ctx); info.Failures == 0 {
		return errors.New("the model is busy")
	}
	v, err := durable.Do(ctx, "model", func(context.Context) (invoice, error) {
		p.paid.add("extract " + d.ID)
		return invoice{Total: 100}, nil
	})
	d.Invoice = &v
	return err
}

func pipelineConfig(w durable.Definition) durable.Config {
	return durable.Config{Workflows: []durable.Definition{w}, Queues: map[string]durable.Queue{
		"default": {Concurrency: 10}, "ai": {Concurrency: 5},
	}}
}

func TestFP1_Invoice(t *testing.T) {
	p := &pipeline{}
	w := p.define()
	onStores(t, pipelineConfig(w), func(t *testing.T, e env) {
		p.bodies.reset()
		run := durabletest.Start(e.Engine, w, document{ID: "1"})
		d := run.Done()
		if want := (document{ID: "1", Content: "invoice over 100", Type: "invoice", Invoice: &invoice{100}, Valid: true, Stored: true}); !reflect.DeepEqual(d, want) {
			t.Errorf("document %+v, want %+v", d, want)
		}
		want := []string{
			"fetch 1 done", "classify 1 done", "by_type[invoice]/extract_invoice 1 retrying", "by_type[invoice]/extract_invoice 2 done",
			"by_type[invoice]/validate_invoice 1 done", "store 1 done",
		}
		if got := steps(run.Look()); !slices.Equal(got, want) {
			t.Errorf("steps\n%q\nwant\n%q", got, want)
		}
	})
}

// The slots of "ai" are the only ones that classify and extract use: with none
// of them here, the run stands before classify, for another worker.
func TestFP1_ModelStepsUseOnlyTheirQueue(t *testing.T) {
	p := &pipeline{}
	w := p.define()
	cfg := pipelineConfig(w)
	cfg.Queues["ai"] = durable.Elsewhere
	other := durable.Config{Workflows: cfg.Workflows, Queues: map[string]durable.Queue{"ai": {Concurrency: 1}, "default": durable.Elsewhere}}
	inMemory(t, cfg, func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, document{ID: "1"})
		e.Sleep(time.Second)
		if x := run.Look(); x.Status != durable.Pending || x.Queue != "ai" {
			t.Fatalf("the run is %s in queue %s", x.Status, x.Queue)
		}
		if got := p.bodies.all(); !slices.Equal(got, []string{"fetch"}) {
			t.Fatalf("bodies %q", got)
		}
		e.Join(other)
		run.Done()
		for _, s := range run.Look().Steps {
			t.Logf("%s %s", s.Path, s.Status)
		}
	})
}

// sameEnd compares a run with the straight one.
func sameEnd(straight, got []string, a, b document) error {
	if !slices.Equal(straight, got) {
		return fmt.Errorf("facts\n%q\nwant\n%q", got, straight)
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Errorf("document %+v, want %+v", b, a)
	}
	return nil
}

func TestFP2_CrashAfterEveryCommit(t *testing.T) {
	for _, content := range []string{"invoice", "unclear"} {
		p := &pipeline{}
		w := p.define()
		cfg := pipelineConfig(w)
		cfg.Lease = 10 * time.Second
		t.Run(content, func(t *testing.T) {
			onStores(t, cfg, func(t *testing.T, e env) {
				p.bodies.reset()
				run := func(key string) (*durabletest.Started[document], document) {
					r := durabletest.Start(e.Engine, w, document{ID: "1", Content: content}, durable.Key(key))
					r.WillAnswer("human_review", verdict{Kind: "contract"})
					return r, r.Done()
				}
				straight, want := run("straight")
				facts, bodies := story(e.facts(t, straight.ID)), len(p.bodies.all())
				for n := 1; ; n++ {
					crashes := e.Crashes()
					p.bodies.reset()
					p.paid.reset()
					e.CrashAfter(n)
					r, got := run(fmt.Sprint(n))
					kills := e.Crashes() - crashes
					if err := sameEnd(facts, story(e.facts(t, r.ID)), want, got); err != nil {
						t.Errorf("killed after commit %d: %v", n, err)
					}
					if extra := len(p.bodies.all()) - bodies; extra > kills {
						t.Errorf("killed %d times, after commit %d: %d extra bodies: %q", kills, n, extra, p.bodies.all())
					}
					if kills == 0 {
						if n < 8 {
							t.Errorf("the run took only %d commits", n)
						}
						return
					}
				}
			})
		})
	}
}

// Each step is resumed by another engine: every body is still running when its
// worker is told to stop.
func TestFP2_ResumeAtEveryStep(t *testing.T) {
	onPipeline := func(p *pipeline, test func(t *testing.T, e env, w *durable.Workflow[document])) func(t *testing.T) {
		return func(t *testing.T) {
			w := p.define()
			onStores(t, pipelineConfig(w), func(t *testing.T, e env) {
				if p.begun != nil {
					p.begun = make(chan string) // of this bubble
				}
				p.bodies.reset()
				test(t, e, w)
			})
		}
	}
	var (
		facts []string
		want  document
	)
	straight := &pipeline{}
	onPipeline(straight, func(t *testing.T, e env, w *durable.Workflow[document]) {
		r := durabletest.Start(e.Engine, w, document{ID: "1"})
		want = r.Done()
		facts = story(e.facts(t, r.ID))
	})(t)
	p := &pipeline{pause: time.Second, begun: make(chan string)}
	t.Run("resumed", onPipeline(p, func(t *testing.T, e env, w *durable.Workflow[document]) {
		r := durabletest.Start(e.Engine, w, document{ID: "1"})
		for range 6 {
			<-p.begun
			e.Restart()
		}
		if err := sameEnd(facts, story(e.facts(t, r.ID)), want, r.Done()); err != nil {
			t.Error(err)
		}
		epochs := make(map[int64]bool)
		for _, f := range e.facts(t, r.ID) {
			if f.Kind == journal.Tried {
				epochs[f.Epoch] = true
			}
		}
		if len(epochs) != 6 || len(p.bodies.all()) != 6 {
			t.Errorf("%d bodies by %d owners, want 6 by 6", len(p.bodies.all()), len(epochs))
		}
	}))
}

func TestFP3_DeployInsideTheBranch(t *testing.T) {
	p := &pipeline{}
	w := p.define()
	onStores(t, pipelineConfig(w), func(t *testing.T, e env) {
		p.bodies.reset()
		run := durabletest.Start(e.Engine, w, document{ID: "1"})
		e.Sleep(time.Second) // it backs off inside extract_invoice
		if x := run.Look(); x.Status != durable.Pending || len(x.Steps) != 4 {
			t.Fatalf("the run is %s: %q", x.Status, steps(x))
		}
		next := p.define(p.step("read_receipt", func(context.Context, *document) error { return nil }))
		e.Deploy(pipelineConfig(next))
		if d := run.Done(); !d.Valid || !d.Stored {
			t.Errorf("document %+v", d)
		}
		want := []string{"fetch", "classify", "extract_invoice", "extract_invoice", "validate_invoice", "store"}
		if got := p.bodies.all(); !slices.Equal(got, want) {
			t.Errorf("bodies %q, want %q", got, want)
		}
	})
}

func TestFP4_UnknownTypeAndUnusableOutput(t *testing.T) {
	p := &pipeline{}
	w := p.define()
	inMemory(t, pipelineConfig(w), func(t *testing.T, e env) {
		if d := durabletest.Start(e.Engine, w, document{ID: "1", Content: "poem"}).Done(); !d.Review || !d.Stored {
			t.Errorf("nobody knows poems: %+v", d)
		}
		p.bodies.reset()
		d := durabletest.Start(e.Engine, w, document{ID: "2", Content: "babble"}).Done()
		want := []string{"fetch", "classify", "classify", "classify", "extract_invoice", "extract_invoice", "validate_invoice", "store"}
		if got := p.bodies.all(); !slices.Equal(got, want) || d.Type != "invoice" {
			t.Errorf("bodies %q, want %q; document %+v", got, want, d)
		}
	})
}

func TestFP5_HumanReview(t *testing.T) {
	p := &pipeline{}
	w := p.define()
	onStores(t, pipelineConfig(w), func(t *testing.T, e env) {
		answered := durabletest.Start(e.Engine, w, document{ID: "1", Content: "unclear"})
		answered.Settle()
		e.Restart()
		answered.Answer("human_review", verdict{"contract"}, durable.By("ada"))
		if d := answered.Done(); d.Contract == "" || d.Type != "contract" {
			t.Errorf("the reviewed type does not decide: %+v", d)
		}

		p.bodies.reset()
		began := time.Now()
		ignored := durabletest.Start(e.Engine, w, document{ID: "2", Content: "unclear"})
		ignored.Settle()
		e.Restart()
		_, err := ignored.End()
		wantFailure(t, err, durable.Failed, "wait_timeout", "classify")
		if d := time.Since(began); d < 24*time.Hour || d > 24*time.Hour+time.Second {
			t.Errorf("the timeout came after %s", d)
		}
		if n := p.bodies.of("classify"); n != 2 {
			t.Errorf("classify ran %d times, want once before the wait and once after it", n)
		}
	})
}

func TestFP6_RecordedCallsAreNeverPaidAgain(t *testing.T) {
	p := &pipeline{}
	w := p.define()
	cfg := pipelineConfig(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		p.paid.reset()
		run := durabletest.Start(e.Engine, w, document{ID: "1", Content: "unclear"})
		run.Settle()
		e.Crash()
		e.Sleep(time.Minute)
		e.Restart()
		e.Deploy(pipelineConfig(p.define(mark2("receipt"))))
		run.Answer("human_review", verdict{"invoice"})
		run.Done()
		if got := p.paid.all(); !slices.Equal(got, []string{"classify 1", "extract 1"}) {
			t.Errorf("paid for %q", got)
		}
		p.paid.reset() // a retry of the step does not pay again either
		durabletest.Start(e.Engine, w, document{ID: "2", Content: "babble"}).Done()
		if n := p.paid.of("classify 2"); n != 1 {
			t.Errorf("paid %d times for one answer", n)
		}
	})
}

func mark2(name string) durable.Node[document] {
	return durable.Step(name, func(context.Context, *document) error { return nil })
}

func TestFP7_OneCallTellsAll(t *testing.T) {
	p := &pipeline{pause: time.Second}
	w := p.define()
	inMemory(t, pipelineConfig(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, document{ID: "1", Content: "contract"})
		run.Done()
		x, err := e.Execution(context.Background(), run.ID, durable.WithSteps)
		if err != nil {
			t.Fatal(err)
		}
		if x.Status != durable.Completed || string(x.State) != `{"doc_id":"1","content":"contract","doc_type":"contract","contract":"parties","stored":true}` {
			t.Errorf("%s with state %s", x.Status, x.State)
		}
		want := []string{"fetch 1 done", "classify 1 done", "by_type[contract]/extract_contract 1 done", "store 1 done"}
		if got := steps(x); !slices.Equal(got, want) {
			t.Errorf("steps %q, want %q", got, want)
		}
		for _, s := range x.Steps {
			if s.Kind == "step" && s.Duration != time.Second {
				t.Errorf("%s took %s, want 1s", s.Path, s.Duration)
			}
		}
	})
}
