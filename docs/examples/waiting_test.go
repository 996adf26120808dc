package examples_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/durable-go/durable"
)

type Loan struct {
	Name    string `json:"name"`
	Score   int    `json:"score,omitempty"`
	Income  int    `json:"income,omitempty"`
	Granted bool   `json:"granted,omitempty"`
	Note    string `json:"note,omitempty"`
}

func askAgency(context.Context, string) (int, error) { return 700, nil }

// [do]
func score(ctx context.Context, l *Loan) error {
	s, err := durable.Do(ctx, "ask_agency", func(ctx context.Context) (int, error) {
		return askAgency(ctx, l.Name) // costs money: done once
	})
	if err != nil {
		return err
	}
	l.Score = s
	return nil
}

// [/do]

// [sleep]
func coolDown(ctx context.Context, l *Loan) error {
	return durable.Sleep(ctx, 10*time.Millisecond) // or 14 days
}

// [/sleep]

// [named]
func askThrice(ctx context.Context, l *Loan) error {
	for n := range 3 {
		ok, err := durable.Do(ctx, "ask", func(context.Context) (bool, error) { return n == 2, nil })
		if ok || err != nil {
			return err
		}
		if err := durable.Sleep(ctx, time.Millisecond, durable.Named("before the next")); err != nil {
			return err
		}
	}
	return nil
}

// [/named]

// [event]
type Signature struct {
	By string `json:"by"`
}

func awaitSignature(ctx context.Context, l *Loan) error {
	s, err := durable.WaitForEvent[Signature](ctx, "signed", durable.Timeout(14*24*time.Hour))
	switch {
	case errors.Is(err, durable.ErrTimeout):
		return durable.CancelRun("nobody signed within two weeks")
	case err != nil:
		return err
	}
	l.Note = "signed by " + s.By
	return nil
}

// [/event]

// [input]
type Income struct {
	Yearly int    `json:"yearly"`
	Source string `json:"source,omitempty"`
}

func askIncome(ctx context.Context, l *Loan) error {
	in, err := durable.WaitForInput[Income](ctx, "income",
		durable.Prompt("What does "+l.Name+" earn in a year?"),
		durable.Details(l)) // shown beside the question
	if err != nil {
		return err
	}
	l.Income = in.Yearly
	return nil
}

// [/input]

// [approval]
func decide(ctx context.Context, l *Loan) error {
	a, err := durable.WaitForApproval(ctx, "grant",
		durable.Prompt("Grant the loan?"),
		durable.Timeout(48*time.Hour),
		durable.OnTimeout(durable.Approval{Approved: false, Comment: "nobody decided"}))
	if err != nil {
		return err
	}
	l.Granted = a.Approved
	l.Note = a.Comment
	return nil
}

// [/approval]

func Example_waiting() {
	ctx := context.Background()
	w := durable.Define("loan",
		durable.Step("score", score),
		durable.Step("cool_down", coolDown),
		durable.Step("ask", askThrice),
		durable.Step("ask_income", askIncome),
		durable.Step("decide", decide),
		durable.Step("await_signature", awaitSignature),
	)
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Loan{Name: "Ada"})

	awaitQuestion(engine, run.ID)
	// [answer]
	page, err := engine.PendingInputs(ctx, durable.InputFilter{Workflow: "loan", Limit: 10})
	if err != nil {
		fmt.Println(err)
	}
	for _, q := range page.Inputs {
		fmt.Println(q.Name, q.Kind, q.Prompt)
		err = engine.ProvideInput(ctx, q.Execution, q.ID, Income{Yearly: 50_000}, durable.By("ada"))
	}
	// [/answer]
	if err != nil {
		fmt.Println(err)
	}
	for awaitQuestion(engine, run.ID).Name != "grant" {
		<-time.After(time.Millisecond)
	}
	if err := engine.ProvideInput(ctx, run.ID, "grant", true); err != nil {
		fmt.Println(err)
	}
	// [send]
	err = engine.SendEvent(ctx, run.ID, "signed", Signature{By: "Ada"},
		durable.EventID("signature-17")) // sending it again has no effect
	// [/send]
	fmt.Println(err)
	l, err := run.Wait(ctx)
	fmt.Println(l.Granted, l.Note, err)
	// Output:
	// income input What does Ada earn in a year?
	// <nil>
	// true signed by Ada <nil>
}

// ledger stands in for a database with transactions.
type ledger struct{ committed, rolledBack int }

func (l *ledger) Commit()   { l.committed++ }
func (l *ledger) Rollback() { l.rolledBack++ }

// suspended runs a body until it waits, and then to its end.
func suspended(body func(context.Context, *Loan) error) {
	w := durable.Define("loan", durable.Step("wait", body))
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(context.Background(), engine, Loan{})
	awaitQuestion(engine, run.ID)
	_ = engine.ProvideInput(context.Background(), run.ID, "grant", true)
	if _, err := run.Wait(context.Background()); err != nil {
		fmt.Println(err)
	}
}

func Example_trapDeferredCommit() {
	var tx ledger
	suspended(func(ctx context.Context, l *Loan) (err error) {
		// [trap-commit]
		defer func() {
			if err == nil { // also true while the body is suspended
				tx.Commit()
			} else {
				tx.Rollback()
			}
		}()
		_, err = durable.WaitForApproval(ctx, "grant")
		return err
		// [/trap-commit]
	})
	fmt.Println("wrong: committed", tx.committed)

	tx = ledger{}
	suspended(func(ctx context.Context, l *Loan) (err error) {
		// [right-commit]
		defer func() {
			if err == nil && !errors.Is(context.Cause(ctx), durable.ErrSuspended) {
				tx.Commit()
			} else {
				tx.Rollback()
			}
		}()
		_, err = durable.WaitForApproval(ctx, "grant")
		return err
		// [/right-commit]
	})
	fmt.Println("right: committed", tx.committed)
	// Output:
	// wrong: committed 2
	// right: committed 1
}

func Example_trapOnce() {
	var (
		once    sync.Once
		granted bool
	)
	suspended(func(ctx context.Context, l *Loan) (err error) {
		// [trap-once]
		once.Do(func() { // is "done" although its function never came to its end
			var a durable.Approval
			a, err = durable.WaitForApproval(ctx, "grant")
			granted = a.Approved
		})
		// [/trap-once]
		return err
	})
	fmt.Println("granted:", granted)
	// Output: granted: false
}

func Example_trapLock() {
	var mu sync.Mutex
	suspended(func(ctx context.Context, l *Loan) (err error) {
		// [right-lock]
		mu.Lock()
		defer mu.Unlock() // without defer it is never released, and the next body hangs
		_, err = durable.WaitForApproval(ctx, "grant")
		// [/right-lock]
		return err
	})
	fmt.Println(mu.TryLock())
	// Output: true
}
