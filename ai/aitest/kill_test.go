package aitest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/examples/documents/samples"
	"github.com/durable-go/durable/store/sqlite"
)

// paper is the state of a document on its way.
type paper struct {
	Name    string
	Text    string
	Kind    sort
	Bill    *bill
	Problem string
}

type sort string

func (sort) Values() []string { return []string{"invoice", "contract", "other"} }

type bill struct {
	Number string  `json:"invoice_number"`
	Total  float64 `json:"total"`
	Lines  []struct {
		Description string  `json:"description"`
		Amount      float64 `json:"amount"`
	} `json:"line_items"`
}

func (b bill) Validate() error {
	sum := -b.Total
	for _, l := range b.Lines {
		sum += l.Amount
	}
	if sum > 0.005 || sum < -0.005 {
		return fmt.Errorf("the lines differ from the total by %.2f", sum)
	}
	return nil
}

func papers() *durable.Workflow[paper] {
	retry := durable.Retry{MaxAttempts: 5, Base: 10 * time.Millisecond}
	classify := func(ctx context.Context, p *paper) (err error) {
		p.Kind, err = ai.Classify[sort](ctx, "smart", p.Text)
		return err
	}
	extract := func(ctx context.Context, p *paper) error {
		b, err := ai.GenerateObject[bill](ctx, "smart", "Extract the invoice fields.\n\n"+p.Text)
		if ai.IsKind(err, ai.BadAnswer) { // a person decides
			p.Problem = err.Error()
			b, err = durable.WaitForInput[bill](ctx, "review")
		}
		p.Bill = &b
		return err
	}
	return durable.Define("papers",
		durable.Step("classify", classify).Retry(retry),
		durable.Branch("by_kind", func(p *paper) sort { return p.Kind }).
			Case("invoice", durable.Step("extract", extract).Retry(retry)).
			Default(),
	)
}

// settled says whether nothing is left to do but what people must.
func settled(ctx context.Context, e *durable.Engine, n int) (done bool, err error) {
	page, err := e.Executions(ctx, durable.Filter{Workflow: "papers", Limit: 1000})
	if err != nil || len(page.Executions) < n {
		return false, err
	}
	asked := map[durable.ID]bool{}
	inputs, err := e.PendingInputs(ctx, durable.InputFilter{Workflow: "papers", Limit: 1000})
	if err != nil {
		return false, err
	}
	for _, in := range inputs.Inputs {
		if in.Name != "review" {
			return false, fmt.Errorf("%s waits for %s: %s", in.Execution, in.Name, in.Prompt)
		}
		asked[in.Execution] = true
	}
	for _, x := range page.Executions {
		switch {
		case x.Status == durable.Failed || x.Status == durable.Cancelled || x.Status == durable.Blocked:
			return false, fmt.Errorf("%s is %s", x.Key, x.Status)
		case x.Status != durable.Completed && !asked[x.ID]:
			return false, nil
		}
	}
	return true, nil
}

// work is a process that is killed. It ends when everything is settled.
func work(ctx context.Context, db, url string) error {
	client, err := ai.New(ai.Config{
		Aliases: map[string]string{"smart": "anthropic:fake-1"},
		Getenv: func(name string) string {
			return map[string]string{"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "fake"}[name]
		},
	})
	if err != nil {
		return err
	}
	e, w, err := openPapers(ctx, db)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ai.WithClient(ctx, client))
	defer cancel()
	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	docs := documents()
	for name, text := range docs {
		if _, err := w.Start(ctx, e, paper{Name: name, Text: text}, durable.Key(name)); err != nil {
			return err
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if done, err := settled(ctx, e, len(docs)); done || err != nil {
			cancel()
			return errors.Join(err, <-running, e.Close())
		}
	}
	return nil
}

func openPapers(ctx context.Context, db string) (*durable.Engine, *durable.Workflow[paper], error) {
	w := papers()
	e, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{w}, Queues: map[string]durable.Queue{"default": {Concurrency: 4, PollInterval: 50 * time.Millisecond}},
		Lease: 600 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	return e, w, err
}

// documents are 20 of the demo's, each of which is there once.
func documents() map[string]string {
	out := map[string]string{}
	for _, s := range samples.All() {
		if len(out) < 20 && strings.TrimSpace(s.Text) != "" && len(s.Text) < 8_000 {
			out[s.Name] = s.Text
		}
	}
	return out
}

// TestMain lets this program be a worker.
func TestMain(m *testing.M) {
	if url := os.Getenv("AITEST_URL"); url != "" {
		if err := work(context.Background(), os.Getenv("AITEST_DB"), url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Documents in bad weather, by workers that are killed with kill -9: each is read in the end or waits for a person,
// and no answer that was recorded is bought again.
func TestAI31_ChaosAndKill(t *testing.T) {
	c := aitest.Weather(11)
	c.Silent, c.After, c.Slowness, c.Most, c.Polite = 0, 50*time.Millisecond, 100*time.Millisecond, 2, true
	came := make(chan struct{}, 10_000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := aitest.Serve(l, offline.New(), aitest.Options{Chaos: &c, Delay: 2 * time.Millisecond, Seen: func(aitest.Call) { came <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	db := filepath.Join(t.TempDir(), "papers.db")
	chance := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for ; ; kills++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "AITEST_URL="+srv.URL, "AITEST_DB="+db)
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		left := 2 + chance.IntN(9)
		if kills >= 6 {
			left = 1 << 30 // it may come to its end
		}
		alive := true
		for alive && left > 0 {
			select {
			case err := <-ended:
				if err != nil {
					t.Fatalf("the worker ended with %v: %s", err, errs.String())
				}
				alive = false
			case <-came:
				left--
			}
		}
		if !alive {
			break
		}
		_ = cmd.Process.Kill() // SIGKILL
		<-ended
	}
	judge(t, db, srv, kills)
}

// judge compares what was recorded with what was paid.
func judge(t *testing.T, db string, srv *aitest.Server, kills int) {
	t.Helper()
	e, _, err := openPapers(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	recorded := map[string]bool{}
	answers, possibly, runs := 0, 0, 0
	for x, err := range e.EachExecution(t.Context(), durable.Filter{Workflow: "papers"}) {
		if err != nil {
			t.Fatal(err)
		}
		runs++
		calls, err := ai.Calls(t.Context(), e, x.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			if c.Answered {
				answers++
				recorded[c.RequestID] = true
			}
			if c.PossiblyPaid && c.Kind == "" { // else it was told what went wrong
				possibly++
			}
		}
	}
	twice, lost := 0, 0
	bought := map[string]int{}
	for _, c := range srv.Calls() {
		switch {
		case c.Delivered && recorded[c.RequestID]:
			if bought[c.Hash]++; bought[c.Hash] > 1 {
				twice++
			}
		case c.Delivered:
			lost++ // its worker was killed before it could record it
		}
	}
	s := srv.Ledger()
	t.Logf("%d documents, %d kills; %d requests, %d paid, %d delivered, %d recorded, %d delivered to the dead, %d possibly paid, %d twice; faults %v",
		runs, kills, s.Requests, s.Paid, s.Delivered, answers, lost, possibly, twice, s.Faults)
	switch {
	case runs != 20 || kills < 5 || len(s.Faults) < 4:
		t.Errorf("%d documents, %d kills, faults %v: not much of a test", runs, kills, s.Faults)
	case twice != 0:
		t.Errorf("%d answers that were recorded were bought again", twice)
	case answers != len(recorded) || answers != len(bought):
		t.Errorf("%d answers are recorded, under %d ids, for %d questions", answers, len(recorded), len(bought))
	case lost > possibly:
		t.Errorf("%d answers were lost, and only %d are shown as possibly paid", lost, possibly)
	}
}
