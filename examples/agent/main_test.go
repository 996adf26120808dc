package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// In virtual time, with the worker killed after each of its commits: money is given back
// once, and only with a yes.
func TestCH2_WN2_AnAgentWithTools(t *testing.T) {
	for n := 0; ; n++ {
		s := new(shop)
		kit := tools(s)
		w := agents(think, kit)
		crashed := false
		durabletest.Run(t, durable.Config{Workflows: serves(w, kit)}, func(t *testing.T, e *durabletest.Engine) {
			if n > 0 {
				e.CrashAfter(n)
			}
			r := durabletest.Start(e, w, Task{Ask: "Where is my order 19?"}, durable.Key("19"))
			r.WillAnswer("may_i", true)
			if got := r.Done(); got.Answer != "Your parcel is lost. You get 400 EUR back." || len(got.Turns) != 3 {
				t.Errorf("killed after commit %d: %+v", n, got)
			}
			crashed = e.Crashes() > 0
		})
		if paid := s.paid(); !slices.Equal(paid, []int{400}) {
			t.Errorf("killed after commit %d: %v was given back", n, paid)
		}
		if n > 0 && !crashed {
			return
		}
	}
}

func TestWN3_NobodySaysYes(t *testing.T) {
	s := new(shop)
	kit := tools(s)
	w := agents(think, kit)
	durabletest.Run(t, durable.Config{Workflows: serves(w, kit)}, func(t *testing.T, e *durabletest.Engine) {
		got := durabletest.Start(e, w, Task{Ask: "Where is my order 20?"}).Done() // a day passes
		if !strings.Contains(got.Answer, "voucher of 20 EUR") || got.Turns[2].Said != "not allowed: nobody answered" || len(s.paid()) > 0 {
			t.Errorf("%+v", got)
		}
		small := durabletest.Start(e, w, Task{Ask: "Where is my order 18?"}).Done() // nobody needs to be asked
		if small.Answer != "Your parcel is lost. You get 30 EUR back." {
			t.Errorf("%+v", small)
		}
	})
}

func TestLP3_AnAgentInCircles(t *testing.T) {
	kit := tools(new(shop))
	w := agents(func(Task) (Use, string) { return Use{Tool: "hammer"}, "" }, kit)
	durabletest.Run(t, durable.Config{Workflows: serves(w, kit)}, func(t *testing.T, e *durabletest.Engine) {
		if end := durabletest.Start(e, w, Task{}).Fails(); end.Cause.Code != "loop_limit" {
			t.Errorf("%v", end)
		}
	})
}

func TestRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "agent.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, db); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"-> Your parcel is on its way.", "refund: You get 30 EUR back", "refund: You get 400 EUR back", "refund: not allowed: ask Eve first", "-> Your parcel is lost. A colleague",
	} {
		if !strings.Contains(first.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &first)
		}
	}
	if err := run(t.Context(), &second, db); err != nil { // finds what is answered
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}
