package durabletest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

type refund struct {
	Amount   int  `json:"amount"`
	Approved bool `json:"approved,omitempty"`
	Paid     bool `json:"paid,omitempty"`
}

func refunds() *durable.Workflow[refund] {
	return durable.Define("refund",
		durable.Step("approve", func(ctx context.Context, r *refund) error {
			a, err := durable.WaitForApproval(ctx, "manager", durable.Timeout(7*24*time.Hour), durable.OnTimeout(durable.Approval{}))
			r.Approved = a.Approved
			return err
		}),
		durable.Branch("approved", func(r *refund) bool { return r.Approved }).
			Case(true, durable.Step("pay", func(_ context.Context, r *refund) error {
				r.Paid = true
				return nil
			})))
}

// Nobody answers for a week: the test takes milliseconds.
func ExampleRun() {
	var t *testing.T // that of the test function
	w := refunds()
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		asked := durabletest.Start(e, w, refund{Amount: 10})
		asked.Settle() // it waits for the manager
		asked.Answer("manager", true)
		if r := asked.Done(); !r.Paid {
			t.Errorf("approved and not paid: %+v", r)
		}

		ignored := durabletest.Start(e, w, refund{Amount: 20})
		if r := ignored.Done(); r.Paid {
			t.Errorf("nobody approved it: %+v", r)
		}
	})
}

// The process dies at every point in turn, and the refund is right each time.
func ExampleEngine_CrashAfter() {
	var t *testing.T // that of the test function
	w := refunds()
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		for n, crashes := 1, -1; crashes != e.Crashes(); n++ {
			crashes = e.Crashes()
			e.CrashAfter(n)
			run := durabletest.Start(e, w, refund{Amount: n}, durable.Key(fmt.Sprint(n)))
			run.WillAnswer("manager", true)
			if r := run.Done(); !r.Paid {
				t.Errorf("with a crash after change %d: %+v", n, r)
			}
		}
	})
}

func TestRefunds(t *testing.T) {
	w := refunds()
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		for n, crashes := 1, -1; crashes != e.Crashes(); n++ {
			crashes = e.Crashes()
			e.CrashAfter(n)
			run := durabletest.Start(e, w, refund{Amount: n}, durable.Key(fmt.Sprint(n)))
			run.WillAnswer("manager", true)
			if r := run.Done(); !r.Paid {
				t.Errorf("with a crash after change %d: %+v", n, r)
			}
		}
		e.CrashAfter(0)
		if r := durabletest.Start(e, w, refund{Amount: 20}).Done(); r.Paid {
			t.Errorf("nobody approved it: %+v", r)
		}
		if e.Crashes() < 5 {
			t.Errorf("only %d crashes", e.Crashes())
		}
	})
}
