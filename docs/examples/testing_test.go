package examples_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

var review = durable.Define("review",
	durable.Step("fetch", func(ctx context.Context, l *Loan) error {
		if info, _ := durable.Info(ctx); info.Attempt < 3 {
			return errors.New("not yet")
		}
		l.Score = 700
		return nil
	}).Retry(durable.Retry{MaxAttempts: 5, Base: time.Hour, Max: time.Hour}),
	durable.Step("decide", decide),
)

// [run]
func TestReview(t *testing.T) {
	cfg := durable.Config{Workflows: []durable.Definition{review}}
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, review, Loan{Name: "Ada"})
		run.Settle() // hours of retries pass in microseconds; now it asks
		run.Answer("grant", true)
		if l := run.Done(); !l.Granted || l.Score != 700 {
			t.Errorf("the loan is %+v", l)
		}
	})
}

// [/run]

// [timeout]
func TestReview_NobodyDecides(t *testing.T) {
	cfg := durable.Config{Workflows: []durable.Definition{review}}
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, review, Loan{Name: "Ada"})
		if l := run.Done(); l.Granted || l.Note != "nobody decided" {
			t.Errorf("after two days the loan is %+v", l)
		}
	})
}

// [/timeout]

// [crash]
func TestReview_CrashEverywhere(t *testing.T) {
	cfg := durable.Config{Workflows: []durable.Definition{review}}
	for n := 1; ; n++ {
		crashed := false
		durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
			e.CrashAfter(n) // as soon as the store has changed n times
			run := durabletest.Start(e, review, Loan{Name: "Ada"}, durable.Key("ada"))
			run.WillAnswer("grant", true) // once it is asked
			if l := run.Done(); !l.Granted {
				t.Errorf("a crash after change %d: the loan is %+v", n, l)
			}
			crashed = e.Crashes() > 0
		})
		if !crashed {
			t.Logf("there are %d places to crash at", n-1)
			return
		}
	}
}

// [/crash]
