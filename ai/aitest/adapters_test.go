package aitest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/anthropic"
	"github.com/durable-go/durable/ai/gemini"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/ai/openai"
)

// adapters are the real providers, which know nothing but the server's environment.
func adapters(srv *aitest.Server) map[string]model.Provider {
	return map[string]model.Provider{
		"anthropic": anthropic.Provider{Getenv: srv.Getenv},
		"openai":    openai.Provider{Getenv: srv.Getenv},
		"chat":      openai.Chat{Getenv: srv.Getenv},
		"ollama":    openai.Ollama{Getenv: srv.Getenv},
		"gemini":    gemini.Provider{Getenv: srv.Getenv},
	}
}

// through runs f once for each adapter, with a server that plays the steps.
func through(t *testing.T, steps func() []aitest.Step, f func(t *testing.T, wire string, m model.Model, srv *aitest.Server), o ...aitest.Options) {
	for _, wire := range []string{"anthropic", "openai", "chat", "ollama", "gemini"} {
		t.Run(wire, func(t *testing.T) {
			srv := aitest.NewServer(t, aitest.Script(t, steps()...), o...)
			m, err := adapters(srv)[wire].Open("m-1")
			if err != nil {
				t.Fatal(err)
			}
			f(t, wire, m, srv)
		})
	}
}

func hello() *model.Request {
	return &model.Request{Model: "m-1", System: "Be brief.", MaxTokens: 500, Messages: []model.Message{{Role: model.User, Text: "How are you?"}}}
}

func TestAdaptersRoundTrip(t *testing.T) {
	used := model.Usage{Input: 100, CacheRead: 40, Output: 30, Reasoning: 10}
	steps := func() []aitest.Step {
		return []aitest.Step{
			aitest.Text("Grüße aus dem Norden, long enough for chunks.").Usage(used).Served("m-1-2026"),
			aitest.Object(map[string]any{"total": 12.5, "lines": []string{"a", "b"}}),
			aitest.ToolCalls(aitest.Tool("send", map[string]any{"to": "x@y", "n": 3}), aitest.Tool("look", nil)),
			aitest.Refuse("I would rather not."),
			aitest.Length("half a sen"),
			aitest.BadJSON(),
		}
	}
	through(t, steps, func(t *testing.T, wire string, m model.Model, srv *aitest.Server) {
		live := ""
		one, err := m.Generate(t.Context(), hello(), func(d model.Delta) { live += d.Text })
		if err != nil || one.Message.Text != "Grüße aus dem Norden, long enough for chunks." || one.Stop != model.StopEnd || one.Usage != used || one.Served != "m-1-2026" {
			t.Fatalf("a text: %+v, %v", one, err)
		}
		if live != one.Message.Text {
			t.Errorf("live %q", live)
		}
		if c := srv.Calls()[0]; one.RequestID == "" || wire != "gemini" && one.RequestID != c.RequestID || !strings.HasSuffix(c.RequestID, strings.TrimPrefix(one.RequestID, "req_")) {
			t.Errorf("the request id is %q, in the ledger %q", one.RequestID, c.RequestID)
		}
		r := hello()
		r.Schema, r.Name = json.RawMessage(`{"type":"object","properties":{"total":{"type":"number"},"lines":{"type":"array","items":{"type":"string"}}},"required":["total"]}`), "bill"
		two, err := m.Generate(t.Context(), r, nil)
		if err != nil || two.Message.Text != `{"lines":["a","b"],"total":12.5}` || two.Usage.Input == 0 || two.Usage.Output == 0 {
			t.Errorf("an object: %+v, %v", two, err)
		}
		r = hello()
		r.Tools = []model.ToolDef{{Name: "send", Description: "Sends.", Schema: json.RawMessage(`{"type":"object","properties":{"to":{"type":"string"},"n":{"type":"integer"}},"required":["to","n"]}`)}, {Name: "look", Schema: json.RawMessage(`{"type":"object"}`)}}
		three, err := m.Generate(t.Context(), r, nil)
		if err != nil || three.Stop != model.StopTools || len(three.Message.Calls) != 2 || three.Message.Calls[0].Name != "send" || string(three.Message.Calls[0].Args) != `{"n":3,"to":"x@y"}` || three.Message.Calls[1].Name != "look" {
			t.Errorf("tool calls: %+v, %v", three, err)
		}
		four, err := m.Generate(t.Context(), hello(), nil)
		if (err != nil || four.Stop != model.StopRefused) && !model.IsKind(err, model.Refused) {
			t.Errorf("a refusal: %+v, %v", four, err)
		}
		five, err := m.Generate(t.Context(), hello(), nil)
		if err != nil || five.Stop != model.StopLength || five.Message.Text != "half a sen" {
			t.Errorf("the length: %+v, %v", five, err)
		}
		if six, err := m.Generate(t.Context(), hello(), nil); err != nil || json.Valid([]byte(six.Message.Text)) {
			t.Errorf("bad JSON: %+v, %v", six, err)
		}
		rs := srv.Requests()
		if got := rs[0].Asked; got.System != "Be brief." || got.MaxTokens != 500 || got.Messages[0].Text != "How are you?" {
			t.Errorf("understood as %+v", got)
		}
		if got := rs[1].Asked; !strings.Contains(string(got.Schema), `"total"`) {
			t.Errorf("the schema was understood as %s", got.Schema)
		}
		if got := rs[2].Asked; len(got.Tools) != 2 || got.Tools[0].Name != "send" || got.Tools[0].Description != "Sends." {
			t.Errorf("the tools were understood as %+v", got.Tools)
		}
	})
}

// A conversation with thoughts, calls, a result that failed, and a file comes back as it was meant.
func TestAdaptersSecondTurn(t *testing.T) {
	steps := func() []aitest.Step {
		return []aitest.Step{
			aitest.ToolCalls(aitest.Tool("look", map[string]string{"at": "a"}), aitest.Tool("look", map[string]string{"at": "b"})).Thinking("I should look first."),
			aitest.Text("done"),
		}
	}
	through(t, steps, func(t *testing.T, wire string, m model.Model, srv *aitest.Server) {
		r := hello()
		r.Messages[0].Files = []model.File{{Name: "a.png", MIME: "image/png", Data: []byte("\x89PNG\r\n\x1a\nxx")}}
		r.Tools = []model.ToolDef{{Name: "look", Schema: json.RawMessage(`{"type":"object","properties":{"at":{"type":"string"}}}`)}}
		thought := ""
		one, err := m.Generate(t.Context(), r, func(d model.Delta) { thought += d.Thinking })
		if err != nil || len(one.Message.Calls) != 2 {
			t.Fatalf("%+v, %v", one, err)
		}
		if thought != "I should look first." {
			t.Errorf("saw the thought %q", thought)
		}
		r.Messages = append(
			r.Messages, one.Message,
			model.Message{Role: model.Tool, CallID: one.Message.Calls[0].ID, Text: "a tree"},
			model.Message{Role: model.Tool, CallID: one.Message.Calls[1].ID, Text: "it is dark", Failed: true},
		)
		if two, err := m.Generate(t.Context(), r, nil); err != nil || two.Message.Text != "done" {
			t.Fatalf("the second turn: %+v, %v", two, err)
		}
		got := srv.Requests()[1].Asked.Messages
		if len(got) != 4 || got[1].Role != model.Assistant || len(got[1].Calls) != 2 || got[2].Role != model.Tool || got[2].Text != "a tree" || !strings.Contains(got[3].Text, "it is dark") {
			t.Fatalf("understood as %+v", got)
		}
		if f := got[0].Files; len(f) != 1 || f[0].MIME != "image/png" || !reflect.DeepEqual(f[0].Data, r.Messages[0].Files[0].Data) {
			t.Errorf("the file came as %+v", f)
		}
		switch wire { // where thoughts go back
		case "anthropic", "openai", "gemini":
			if one.Message.Raw == nil || got[1].Raw == nil {
				t.Errorf("the thought is lost: answered %s, sent %s", one.Message.Raw, got[1].Raw)
			}
			r.Messages[1].Raw = json.RawMessage(strings.Replace(strings.Replace(string(one.Message.Raw), "look first", "hurry", 1), `"look","args"`, `"lock","args"`, 1))
			if wire != "gemini" {
				if _, err := m.Generate(t.Context(), r, nil); !model.IsKind(err, model.Invalid) {
					t.Errorf("a thought that was changed is taken: %v", err)
				}
			}
		}
	})
}

// fault 30–32: each failure has the kind that the table of errors says, on every wire.
func TestAdaptersFaults(t *testing.T) {
	type c struct {
		step  aitest.Step
		kind  model.Kind
		after time.Duration
	}
	cases := map[string]c{
		"429":             {aitest.RateLimited(2 * time.Second), model.RateLimited, 2 * time.Second},
		"429 unsaid":      {aitest.RateLimited(0), model.RateLimited, 0},
		"429 ms":          {aitest.RateLimited(250 * time.Millisecond).Form(aitest.InMillis), model.RateLimited, 250 * time.Millisecond},
		"429 fraction":    {aitest.RateLimited(1500 * time.Millisecond).Form(aitest.InFraction), model.RateLimited, 1500 * time.Millisecond},
		"429 date":        {aitest.RateLimited(time.Minute).Form(aitest.AsDate), model.RateLimited, time.Minute},
		"429 reset":       {aitest.RateLimited(time.Minute).Form(aitest.AsReset), model.RateLimited, time.Minute},
		"429 rubbish":     {aitest.RateLimited(0).Header("Retry-After", "soon"), model.RateLimited, 0},
		"429 negative":    {aitest.RateLimited(0).Header("Retry-After", "-5"), model.RateLimited, 0},
		"429 long":        {aitest.RateLimited(time.Hour), model.Quota, time.Hour},
		"quota":           {aitest.Quota(), model.Quota, 0},
		"overloaded":      {aitest.Overloaded(), model.Transient, 0},
		"500":             {aitest.Status(500), model.Transient, 0},
		"404":             {aitest.Status(404), model.Invalid, 0},
		"401":             {aitest.Status(401), model.Auth, 0},
		"403":             {aitest.Status(403), model.Auth, 0},
		"402":             {aitest.Status(402), model.Quota, 0},
		"400":             {aitest.Status(400), model.Invalid, 0},
		"too long":        {aitest.TooLong(), model.TooLong, 0},
		"cut":             {aitest.Cut(200), model.Transient, 0},
		"cut at once":     {aitest.Cut(1), model.Transient, 0},
		"cut at the end":  {aitest.Text("a text").Cut(1 << 20), model.Transient, 0},
		"inside a stream": {aitest.StreamError(529), model.Transient, 0},
		"limit inside":    {aitest.StreamError(429), model.RateLimited, 0},
		"silence":         {aitest.Silence(), model.Transient, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			through(t, func() []aitest.Step { return []aitest.Step{c.step, aitest.Text("fine")} }, func(t *testing.T, _ string, m model.Model, srv *aitest.Server) {
				r := hello()
				if name == "silence" {
					r.Idle = 50 * time.Millisecond
				}
				got, err := m.Generate(t.Context(), r, nil)
				var e *model.Error
				if !errors.As(err, &e) || e.Kind != c.kind {
					t.Fatalf("%+v, %v, want %s", got, err, c.kind)
				}
				if d := e.RetryAfter - c.after; d > time.Second || d < -2*time.Second {
					t.Errorf("come back after %v, want %v", e.RetryAfter, c.after)
				}
				if paid := strings.Contains(name, "cut"); srv.Calls()[0].Paid != paid {
					t.Errorf("%+v, want paid %v", srv.Calls()[0], paid)
				}
				if got, err := m.Generate(t.Context(), hello(), nil); err != nil || got.Message.Text != "fine" {
					t.Errorf("afterwards: %+v, %v", got, err)
				}
			})
		})
	}
}

// The offline model answers through every wire as it does at home.
func TestOfflineThroughTheWires(t *testing.T) {
	const bill = "ACME OATS LTD\n\nINVOICE\n\nInvoice No: A-17        Date: 3 March 2025\nBill to: Bluebell Bakery\n\nItem            Qty   Price   Amount\nOats            3     100.00  300.00\n\nTotal EUR                     300.00\n"
	r := &model.Request{
		Model: offline.Documents, Messages: []model.Message{{Role: model.User, Text: bill}},
		Schema: json.RawMessage(`{"type":"object","properties":{"kind":{"type":"string","enum":["invoice","contract","other"]},"invoice_number":{"type":"string"},"total":{"type":"number"}},"required":["kind","invoice_number","total"],"additionalProperties":false}`),
	}
	want, err := offline.New().Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := aitest.NewServer(t, offline.New())
	for wire, p := range adapters(srv) {
		m, err := p.Open(offline.Documents)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Generate(t.Context(), r, nil)
		if err != nil || got.Message.Text != want.Message.Text {
			t.Errorf("%s: %+v, %v, want %s", wire, got, err, want.Message.Text)
		}
		free := &model.Request{Model: offline.Documents, Messages: r.Messages}
		if _, err := m.Generate(t.Context(), free, nil); !model.IsKind(err, model.Invalid) || !strings.Contains(err.Error(), "only classifies and extracts") {
			t.Errorf("%s: free text: %v", wire, err)
		}
	}
}

// Whoever tries again gets every answer through bad weather, and pays only once for what arrived.
func TestAdaptersThroughChaos(t *testing.T) {
	c := aitest.Weather(3)
	c.Hold, c.Slowness, c.After = 10*time.Millisecond, time.Millisecond, time.Millisecond
	c.Silent, c.Inside = 0.05, 0.1
	srv := aitest.NewServer(t, new(always), aitest.Options{Chaos: &c})
	asked := 0
	for wire, p := range adapters(srv) {
		m, err := p.Open("m-1")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			asked++
			if err := insist(t.Context(), m, fmt.Sprint(wire, i)); err != nil {
				t.Errorf("%s: %v", wire, err)
			}
		}
	}
	l := srv.Ledger()
	t.Logf("%+v", l)
	if l.Delivered != asked || len(l.Twice) != 0 || l.Paid <= asked || l.Requests <= l.Paid {
		t.Errorf("asked %d times: %+v", asked, l)
	}
}

func insist(ctx context.Context, m model.Model, text string) error {
	r := &model.Request{Model: "m-1", Messages: []model.Message{{Role: model.User, Text: text}}}
	var err error
	for range 4 {
		var got *model.Response
		if got, err = m.Generate(ctx, r, nil); err == nil {
			if got.Message.Text != `{"answer":"`+text+`"}` {
				return fmt.Errorf("another answer: %s", got.Message.Text)
			}
			return nil
		}
		if !model.IsKind(err, model.Transient) && !model.IsKind(err, model.RateLimited) {
			return err
		}
	}
	return err
}
