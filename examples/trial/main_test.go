package main

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

const week = 7 * 24 * time.Hour

// In virtual time, of which twelve weeks take milliseconds: when is what written?
func TestSL1_DC1_WeeksOfSilence(t *testing.T) {
	var at []time.Duration
	var begin time.Time
	w := trials(week, func(context.Context, string, string) error {
		at = append(at, time.Since(begin).Round(time.Hour))
		return nil
	})
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		begin = time.Now()
		got := durabletest.Start(e, w, Trial{Who: "Eve"}).Done()
		if got.End != "" || len(got.Mails) != 5 {
			t.Errorf("%+v", got)
		}
		if want := []time.Duration{0, 2 * week, 3 * week, 4 * week, 12 * week}; !slices.Equal(at, want) {
			t.Errorf("mails at %v, want %v", at, want)
		}
	})
}

// An event that comes before anybody waits for it is kept, wherever the worker is killed.
func TestEV2_AWordBeforeTheWait(t *testing.T) {
	w := trials(week, func(context.Context, string, string) error { return nil })
	for n := 0; ; n++ {
		crashed := false
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
			r := durabletest.Start(e, w, Trial{Who: "Ada"})
			r.Event(subscribed, nil)
			if n > 0 {
				e.CrashAfter(n)
			}
			if got := r.Done(); got.End != subscribed || len(got.Mails) != 2 {
				t.Errorf("killed after commit %d: %+v", n, got)
			}
			crashed = e.Crashes() > 0
		})
		if n > 0 && !crashed {
			return
		}
	}
}

func TestEV6_OneOfTwoWordsEndsIt(t *testing.T) {
	w := trials(week, func(context.Context, string, string) error { return nil })
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, Trial{Who: "Bob"})
		e.Sleep(5 * week / 2)
		r.Event(closed, nil)
		if got := r.Done(); got.End != closed || len(got.Mails) != 3 || got.Mails[1] != halfTime {
			t.Errorf("%+v", got)
		}
	})
}

func TestRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "trial.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, db, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Ada (subscribed)\n  Welcome! You have four weeks.\n  Thank you for staying.\n", "Bob (closed)\n  Welcome! You have four weeks.\n  Two weeks are left. Can we help?\n  Your account is closed.\n", "Eve (no word)", "  Your data is deleted.\n"} {
		if !strings.Contains(first.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &first)
		}
	}
	if err := run(t.Context(), &second, db, 200*time.Millisecond); err != nil { // finds what has ended
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}
