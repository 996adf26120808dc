package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

func config(w durable.Definition) durable.Config {
	return durable.Config{Workflows: []durable.Definition{w}, Queues: map[string]durable.Queue{"mail": {Concurrency: 50}}}
}

// In virtual time: everybody gets one letter, whatever the post office does.
func TestEA4_WhoHasMovedStopsNobody(t *testing.T) {
	o := new(office)
	w := campaigns(o)
	durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		c := durabletest.Start(e, w, Campaign{Subject: "hello", People: people(1000)}).Done()
		if c.Sent != 990 || len(c.Failed) != 10 || o.letters() != 990 {
			t.Errorf("%d sent, %d failed, %d letters", c.Sent, len(c.Failed), o.letters())
		}
		if b := c.Failed[1]; b.To != "reader-0199@nowhere.example" || !strings.Contains(b.Why, errNobody.Error()) {
			t.Errorf("the second that failed is %+v", b)
		}
		other := durabletest.Start(e, w, Campaign{People: []string{"a@nowhere.example"}}).Fails()
		if other.Cause.Code != "merge" || !strings.Contains(other.Error(), "not one of 1 letters") {
			t.Errorf("%v", other)
		}
	})
}

// The worker is killed after each of its commits: nobody is written to twice, or never.
func TestEA3_NobodyGetsItTwice(t *testing.T) {
	for n := 1; ; n++ {
		o := new(office)
		w := campaigns(o)
		crashed := false
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			e.CrashAfter(n)
			c := durabletest.Start(e, w, Campaign{Subject: "hello", People: people(12)}, durable.Key("hello")).Done()
			crashed = e.Crashes() > 0
			if c.Sent != 12 || o.letters() != 12 {
				t.Errorf("killed after commit %d: %d sent, %d letters", n, c.Sent, o.letters())
			}
		})
		if !crashed {
			return
		}
	}
}

func TestRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "mailer.db")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	first := &office{done: func(sent int) {
		if sent == 40 {
			stop() // as an interrupt does
		}
	}}
	var said bytes.Buffer
	if err := run(ctx, &said, db, "hello", people(200), first); err != nil {
		t.Fatal(err)
	}
	if n := first.letters(); n < 40 || n > 190 || !strings.Contains(said.String(), "interrupted: this process has sent") {
		t.Fatalf("%d letters; it says\n%s", n, &said)
	}
	second := new(office)
	said.Reset()
	if err := run(t.Context(), &said, db, "hello", people(200), second); err != nil {
		t.Fatal(err)
	}
	if n := first.letters() + second.letters(); n != 198 {
		t.Errorf("%d letters and %d letters", first.letters(), second.letters())
	}
	for _, text := range []string{"was begun before", "198 of 200 letters are sent", "reader-0099@nowhere.example: "} {
		if !strings.Contains(said.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &said)
		}
	}
}
