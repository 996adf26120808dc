//go:build fail

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/internal/tree"
)

// workload is a workflow, a way to start it by name, and its tree. The tree is
// written out again here: the oracle must not ask the code that it judges.
type workload struct {
	definition durable.Definition
	start      func(ctx context.Context, e *durable.Engine, input []byte, opts ...durable.StartOption) (durable.ID, error)
	tree       *tree.Workflow
}

func load[S any](w *durable.Workflow[S], nodes ...*tree.Node) workload {
	t := tree.Place(&tree.Workflow{Name: w.Name(), Root: &tree.Node{Kind: tree.Sequence, Body: nodes}})
	return workload{w, func(ctx context.Context, e *durable.Engine, input []byte, opts ...durable.StartOption) (durable.ID, error) {
		var s S
		if err := json.Unmarshal(input, &s); err != nil {
			return durable.ID{}, err
		}
		r, err := w.Start(ctx, e, s, opts...)
		if err != nil {
			return durable.ID{}, err
		}
		return r.ID, nil
	}, t}
}

func step(name string) *tree.Node { return &tree.Node{Kind: tree.Step, Name: name} }

// workloads are all workflows by name.
func workloads(l *ledger, archive string) map[string]workload {
	guest, child := guests(l)
	list := []workload{
		documents(l, archive), loop(l), waits(l), ways(l), once(l), calls(l), transfer(l), forever(l), slow(l), exits(l), booked(l), fans(l), tells(l), guest, parties(l, child),
	}
	m := make(map[string]workload, len(list))
	for _, w := range list {
		m[w.definition.Name()] = w
	}
	return m
}

// documents is the pipeline of the examples, on rules instead of people.
func documents(l *ledger, archive string) workload {
	p := pipeline.Pipeline{
		Source: pipeline.Samples{}, Archive: pipeline.Folder(archive),
		Around: func(b pipeline.Body) pipeline.Body { return watched(l, b) },
	}
	return load(p.Workflow(),
		step("fetch"), step("classify"),
		&tree.Node{Kind: tree.Branch, Name: "by_type", Else: true, Cases: []tree.Case{
			{Key: "invoice", Body: []*tree.Node{step("extract_invoice"), step("validate_invoice")}},
			{Key: "contract", Body: []*tree.Node{step("extract_contract")}},
		}, Default: []*tree.Node{step("flag_for_review")}},
		step("store"))
}

// moody is the offline model, which takes a moment, and in each process refuses some texts at first: then the
// run sleeps, and the body begins again.
type moody struct {
	ai.Model
	mu      sync.Mutex
	refused map[string]bool
}

// client asks moody.
func client() (*ai.Client, error) {
	return ai.New(ai.Config{
		Aliases:   map[string]string{pipeline.Smart: "moody:" + offline.Documents},
		Providers: map[string]ai.Provider{"moody": &moody{Model: offline.New(), refused: make(map[string]bool)}},
		Getenv:    func(string) string { return "" },
	})
}

// Open is that of an ai.Provider.
func (m *moody) Open(string) (ai.Model, error) { return m, nil }

// Generate refuses, or answers as the offline model does.
func (m *moody) Generate(ctx context.Context, r *ai.Request, on func(ai.Delta)) (*ai.Response, error) {
	text := r.Messages[0].Text
	if err := pause(ctx, time.Duration(1+len(text)%14)*time.Millisecond); err != nil {
		return nil, err
	}
	m.mu.Lock()
	no := len(text)%3 == 0 && !m.refused[text]
	m.refused[text] = true
	m.mu.Unlock()
	if no {
		durable.Logger(ctx).Warn("the model refuses")
		return nil, &ai.Error{Kind: ai.RateLimited, Status: 429, RetryAfter: 20 * time.Millisecond}
	}
	return m.Model.Generate(ctx, r, on)
}

// sum adds the numbers of its passes.
type sum struct {
	N     int `json:"n"`
	Limit int `json:"limit"`
	Sum   int `json:"sum"`
}

func loop(l *ledger) workload {
	w := durable.Define("loop",
		durable.Loop("pass", func(s *sum) bool { return s.N < s.Limit },
			durable.Step("add", watched(l, func(_ context.Context, s *sum) error {
				s.N++
				s.Sum += s.N
				return nil
			}))))
	return load(w, &tree.Node{Kind: tree.Loop, Name: "pass", Body: []*tree.Node{step("add")}})
}

// mail is what the waits got.
type mail struct {
	Got  []int `json:"got"`
	Late int   `json:"late"`
}

// waits takes two events, the first of which may come before its wait, sleeps,
// and waits for what never comes.
func waits(l *ledger) workload {
	w := durable.Define("waits",
		durable.Step("prepare", watched(l, func(ctx context.Context, _ *mail) error {
			durable.Logger(ctx).Info("preparing")
			return pause(ctx, 20*time.Millisecond)
		})),
		durable.Step("take", watched(l, func(ctx context.Context, m *mail) error {
			for range 2 {
				n, err := durable.WaitForEvent[int](ctx, "go")
				if err != nil {
					return err
				}
				m.Got = append(m.Got, n)
			}
			return nil
		})),
		durable.Step("nap", watched(l, func(ctx context.Context, _ *mail) error {
			return durable.Sleep(ctx, 25*time.Millisecond)
		})),
		durable.Step("give_up", watched(l, func(ctx context.Context, m *mail) (err error) {
			m.Late, err = durable.WaitForEvent[int](ctx, "never", durable.Timeout(10*time.Millisecond), durable.OnTimeout(7))
			return err
		})))
	return load(w, step("prepare"), step("take"), step("nap"), step("give_up"))
}

// pause lets time pass in a body.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// way is which way a branch took.
type way struct {
	Kind string   `json:"kind"`
	Took []string `json:"took"`
}

// ways branches, and fails twice by plan before it goes on.
func ways(l *ledger) workload {
	take := func(name string) *durable.StepNode[way] {
		return durable.Step(name, watched(l, func(_ context.Context, s *way) error {
			s.Took = append(s.Took, name)
			return nil
		}))
	}
	w := durable.Define("ways",
		durable.Branch("by_kind", func(s *way) string { return s.Kind }).
			Case("a", take("one"), take("two")).
			Case("b", durable.Step("flaky", watched(l, func(ctx context.Context, s *way) error {
				s.Took = append(s.Took, "flaky") // dropped when the attempt fails
				if info, _ := durable.Info(ctx); info.Failures < 2 {
					return errors.New("not yet")
				}
				return nil
			})).Retry(durable.Retry{MaxAttempts: 3, Base: 10 * time.Millisecond, Backoff: durable.Constant, Jitter: durable.NoJitter})).
			Default(take("other")),
		take("last"))
	return load(w,
		&tree.Node{Kind: tree.Branch, Name: "by_kind", Else: true, Cases: []tree.Case{
			{Key: "a", Body: []*tree.Node{step("one"), step("two")}},
			{Key: "b", Body: []*tree.Node{step("flaky")}},
		}, Default: []*tree.Node{step("other")}},
		step("last"))
}

// charge is an effect that must not happen twice.
type charge struct {
	Amount int    `json:"amount"`
	By     string `json:"by,omitempty"` // body, or reconcile
}

// once charges at most once: what is in doubt is looked up in the ledger.
func once(l *ledger) workload {
	w := durable.Define("once",
		durable.Step("charge", watched(l, func(ctx context.Context, c *charge) error {
			info, _ := durable.Info(ctx)
			if err := pause(ctx, 3*time.Millisecond); err != nil {
				return err
			}
			l.write(ctx, line{Kind: "effect", Key: "charge " + info.IdempotencyKey, Amount: c.Amount})
			c.By = "body"
			return nil
		})).AtMostOnce().Reconcile(func(ctx context.Context, c *charge) error {
			info, _ := durable.Info(ctx)
			lines, err := readLedger(l.path)
			if err != nil {
				return err
			}
			for _, x := range lines {
				if x.Key == "charge "+info.IdempotencyKey {
					c.By = "reconcile"
					l.write(ctx, line{Kind: "reconciled"})
					return durable.Happened
				}
			}
			return durable.DidNotHappen
		}),
		durable.Step("thank", watched(l, func(context.Context, *charge) error { return nil })))
	charge := step("charge")
	charge.AtMostOnce, charge.Reconciles = true, true
	return load(w, charge, step("thank"))
}

// nonces are the results of calls: each call of a function returns another.
type nonces struct {
	All []string `json:"all"`
}

// calls makes durable calls with a sleep between, so that its body runs twice.
func calls(l *ledger) workload {
	w := durable.Define("calls", durable.Step("call", watched(l, func(ctx context.Context, s *nonces) error {
		for i, name := range []string{"x", "x", "y"} {
			v, err := durable.Do(ctx, name, func(ctx context.Context) (string, error) {
				n := l.nonce()
				l.write(ctx, line{Kind: "call", Call: name, Nonce: n})
				return n, nil
			})
			if err != nil {
				return err
			}
			s.All = append(s.All, v)
			if i == 1 {
				if err := durable.Sleep(ctx, 15*time.Millisecond); err != nil {
					return err
				}
			}
		}
		return nil
	})))
	return load(w, step("call"))
}

// order moves money from one account to another.
type order struct {
	From   int  `json:"from"`
	To     int  `json:"to"`
	Amount int  `json:"amount"`
	Keyed  bool `json:"keyed"` // the bank removes duplicates by key; else it does as it is told
}

// transfer is debit, then credit.
func transfer(l *ledger) workload {
	effect := func(ctx context.Context, o *order, account, amount int) error {
		key := l.nonce()
		if o.Keyed && l.mutant != "random-key" {
			info, _ := durable.Info(ctx)
			key = info.IdempotencyKey
		}
		if l.mutant == "half-credit" && amount > 0 {
			amount /= 2
		}
		l.write(ctx, line{Kind: "effect", Key: key, Account: account, Amount: amount})
		return pause(ctx, 2*time.Millisecond)
	}
	w := durable.Define("transfer",
		durable.Step("debit", watched(l, func(ctx context.Context, o *order) error { return effect(ctx, o, o.From, -o.Amount) })),
		durable.Step("credit", watched(l, func(ctx context.Context, o *order) error { return effect(ctx, o, o.To, o.Amount) })))
	return load(w, step("debit"), step("credit"))
}

// forever waits for an event that nobody sends: to be cancelled.
func forever(l *ledger) workload {
	w := durable.Define("forever", durable.Step("wait", watched(l, func(ctx context.Context, _ *mail) error {
		_, err := durable.WaitForEvent[int](ctx, "no_such")
		return err
	})))
	return load(w, step("wait"))
}

// slow has a body that takes its time, as long as N milliseconds.
func slow(l *ledger) workload {
	w := durable.Define("slow", durable.Step("work", watched(l, func(ctx context.Context, s *sum) error {
		return pause(ctx, time.Duration(s.N)*time.Millisecond)
	})))
	return load(w, step("work"))
}

// exits takes its process with it each time.
func exits(l *ledger) workload {
	w := durable.Define("exits", durable.Step("exit", watched(l, func(context.Context, *sum) error {
		os.Exit(exitStatus)
		return nil
	})))
	return load(w, step("exit"))
}

// exitStatus is how a process ends in the workflow exits.
const exitStatus = 7

// archived are the results that the pipeline kept, by their file names.
func archived(dir string) ([]string, error) { return filepath.Glob(filepath.Join(dir, "*.json")) }
