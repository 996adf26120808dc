package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// typing is a reviewer at whose terminal somebody has typed these lines.
func typing(lines ...string) (*reviewer, *bytes.Buffer) {
	c := make(chan string, len(lines))
	for _, l := range lines {
		c <- l
	}
	close(c)
	var out bytes.Buffer
	return &reviewer{screen: &term.Screen{Writer: &out, Wide: 80, High: 24}, lines: c, later: make(map[string]bool)}, &out
}

func input(t *testing.T, name string, details any) durable.PendingInput {
	t.Helper()
	b, err := json.Marshal(details)
	if err != nil {
		t.Fatal(err)
	}
	return durable.PendingInput{ID: "w_1", Name: name, Prompt: "What is it?", Details: b}
}

func TestReviewKind(t *testing.T) {
	in := input(t, pipeline.ReviewType, pipeline.TypeQuestion{Guess: pipeline.TypeContract, Confidence: 0.4})
	for typed, want := range map[string]any{
		"":          pipeline.TypeReview{Type: pipeline.TypeContract},
		"i":         pipeline.TypeReview{Type: pipeline.TypeInvoice},
		"Other":     pipeline.TypeReview{Type: pipeline.TypeOther},
		"what,,,,i": pipeline.TypeReview{Type: pipeline.TypeContract}, // "what" is asked again, then Enter
		"l":         nil,
		"r":         nil,
	} {
		r, _ := typing(strings.Split(typed, ",")...)
		got, err := r.kind(t.Context(), in)
		if err != nil || got != want || r.rule != (typed == "r") {
			t.Errorf("%q gives %v %v, want %v", typed, got, err, want)
		}
	}
	r, _ := typing()
	if _, err := r.kind(t.Context(), in); !errors.Is(err, errEnough) {
		t.Errorf("at the end of the input: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.lines = make(chan string)
	if _, err := r.kind(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestReviewInvoice(t *testing.T) {
	wrong := pipeline.Invoice{Currency: "EUR", Lines: []pipeline.Line{{Description: "oats", Amount: 100_00}}, Net: 10_00, Total: 10_00}
	none := pipeline.Invoice{Currency: "EUR"}
	for _, c := range []struct {
		about pipeline.Invoice
		typed []string
		want  pipeline.InvoiceReview
		total string
	}{
		{wrong, []string{""}, pipeline.InvoiceReview{Action: pipeline.Keep}, ""},
		{wrong, []string{"nonsense", "k"}, pipeline.InvoiceReview{Action: pipeline.Keep}, ""},
		{wrong, []string{"e", "100,00", "", "much", "100.00"}, pipeline.InvoiceReview{Action: pipeline.Correct}, "100.00"},
		{none, []string{"e", "words; 585,20", "no amount", "corrections; 120", "", "", "", "705,20"}, pipeline.InvoiceReview{Action: pipeline.Correct}, "705.20"},
	} {
		r, out := typing(c.typed...)
		got, err := r.invoice(t.Context(), input(t, pipeline.ReviewInvoice, pipeline.InvoiceQuestion{Invoice: c.about}))
		review, ok := got.(pipeline.InvoiceReview)
		if err != nil || !ok || review.Action != c.want.Action {
			t.Errorf("%q gives %v %v", c.typed, got, err)
			continue
		}
		if c.total == "" {
			continue
		}
		if bad := review.Invoice.Check(); len(bad) > 0 || review.Invoice.Total.String() != c.total || strings.Contains(out.String(), "does not add up yet") {
			t.Errorf("%q gives %+v: %q\n%s", c.typed, review.Invoice, bad, out)
		}
	}
}

// What is shown with a question fits the screen, whatever the document holds.
func TestReviewHead(t *testing.T) {
	r, out := typing()
	in := input(t, pipeline.ReviewType, pipeline.TypeQuestion{Excerpt: strings.Repeat("a\x1b[31mb"+strings.Repeat("文", 100)+"\n", 50)})
	r.head(&place{Document: Document{Name: "name\x1b[31m"}}, in, 1, 2)
	lines := strings.Split(out.String(), "\n")
	if len(lines) > 24 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines:\n%s", len(lines), out)
	}
	for _, l := range lines {
		if term.Width(l) > 80 {
			t.Errorf("%d columns: %s", term.Width(l), l)
		}
	}
}

// The board fits the screen, does not jump, and gives rows of ended runs to new ones.
func TestBoard(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	run := func(i int, status durable.Status, steps ...string) *place {
		p := &place{Document: Document{Name: fmt.Sprintf("document-%02d with a long \x1b[31mname", i)}, seen: true, ended: status.Ended()}
		p.x = &durable.Execution{Status: status, Ended: begin.Add(time.Duration(i) * time.Second)}
		for _, s := range steps {
			p.x.Steps = append(p.x.Steps, durable.StepRecord{Path: "by_type[invoice]/" + s, Kind: "step", Status: "done", Started: begin})
		}
		if n := len(steps); n > 0 && !p.ended {
			p.x.Steps[n-1].Status = "running"
		}
		return p
	}
	for _, size := range [][2]int{{80, 24}, {100, 30}, {60, 10}, {200, 60}} {
		var out bytes.Buffer
		b := board{screen: &term.Screen{Writer: &out, TTY: true, Wide: size[0], High: size[1]}, begin: begin, name: 30}
		f := &follower{}
		for i := range 20 {
			f.places = append(f.places, run(i, durable.Completed, "fetch", "classify", "store"))
		}
		if err := b.draw(f, begin.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		seated := append([]*place(nil), b.rows...)
		for i := range 5 {
			f.places = append(f.places, run(20+i, durable.Running, "fetch", "extract_invoice"))
		}
		out.Reset()
		if err := b.draw(f, begin.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		moved, working := 0, 0
		for i, p := range b.rows {
			if i < len(seated) && p != seated[i] {
				moved++
			}
			if !p.ended {
				working++
			}
		}
		if working != min(5, len(b.rows)) || moved > 5 {
			t.Errorf("%v: %d of 5 runs at work are shown, %d of %d rows changed", size, working, moved, len(b.rows))
		}
		text := regexp.MustCompile(`\x1b\[[?0-9;]*[A-Za-z]`).ReplaceAllString(out.String(), "")
		lines := strings.Split(text, "\r\n")
		if len(lines) > size[1] || strings.Contains(text, "\x1b") {
			t.Errorf("%v: %d lines:\n%q", size, len(lines), text)
		}
		for _, l := range lines {
			if term.Width(strings.Trim(l, "\r")) > size[0] {
				t.Errorf("%v: %d columns: %s", size, term.Width(l), l)
			}
		}
	}
}
