package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/store/sqlite"
)

// payment is what the tool of this test takes.
type payment struct {
	To    string  `json:"to"`
	Items []piece `json:"items"`
}

type piece struct {
	Euros int    `json:"euros" jsonschema:"without cents"`
	For   string `json:"for,omitempty"`
}

// What inbox show gives as an example for a guarded call is accepted as it is, and each field of the answer is described.
func TestAI12_ExampleOfAnApproval(t *testing.T) {
	db := filepath.Join(t.TempDir(), "agent.db")
	model := aitest.Script(t, aitest.ToolCalls(aitest.Tool("pay", payment{"Ada", []piece{{Euros: 7}}})), aitest.Text("paid"))
	client, err := ai.New(ai.Config{Providers: map[string]ai.Provider{"script": model}, Aliases: map[string]string{"smart": "script:any"}})
	if err != nil {
		t.Fatal(err)
	}
	clerk := ai.Agent{Name: "clerk", Model: "smart", Tools: []ai.Tool{
		ai.NewTool("pay", "pays", func(context.Context, payment) (string, error) { return "done", nil }, ai.Approve()),
	}}
	w := durable.Define("clerks", durable.Step("work", func(ctx context.Context, o *order) error {
		r, err := clerk.Run(ctx, "pay Ada")
		if err == nil {
			o.Way = r.Text
		}
		return err
	}))
	e, err := durable.Open(t.Context(), sqlite.Open(db), durable.Config{Workflows: []durable.Definition{w}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(ai.WithClient(t.Context(), client)) }()
	run, err := w.Start(t.Context(), e, order{})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		x, err := e.Execution(t.Context(), run.ID)
		if err != nil || x.Status.Ended() {
			t.Fatal(x, err)
		}
		if x.Status == durable.Waiting {
			break
		}
	}
	shown := command(t, "", "inbox", "show", run.ID.String(), "--db", db)
	for _, text := range []string{
		"1.1  object\n", `decision  one of "approve", "reject", "edit"`, `hash      always "`, "reason    string, may be left out", "args      object, may be left out",
		"items  list of object\n", "euros  integer (without cents)", "for    string, may be left out",
	} {
		if !strings.Contains(shown.out, text) {
			t.Errorf("it does not say %q", text)
		}
	}
	example := regexp.MustCompile(`inbox answer (\S+) --db \S+ '(.*)'\n`).FindStringSubmatch(shown.out)
	if example == nil {
		t.Fatalf("there is no example:\n%s%s", shown.out, shown.err)
	}
	if r := command(t, "", "inbox", "answer", example[1], example[2], "--db", db); r.code != 0 {
		t.Errorf("the example %s is refused: %s", example[2], r.err)
	}
	if o, err := run.Wait(t.Context()); err != nil || o.Way != "paid" {
		t.Errorf("the run came to %+v, %v", o, err)
	}
	if t.Failed() {
		t.Log(shown.out)
	}
	if err := errors.Join(e.Close(), <-running); err != nil {
		t.Error(err)
	}
}

// Schemas that lead back to themselves, and parts that are true or false, are described as far as people read.
func TestSchema(t *testing.T) {
	for raw, want := range map[string]string{
		`{"type":"object","required":["a"],"properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"object","required":["next"],"properties":{"next":{"$ref":"#/$defs/n"}}}}}`: `{"a": {"next": {"next": {"next": {"next": null}}}}}`,
		`{"type":"object","required":["a","b"],"properties":{"a":true,"b":{"const":null}}}`:                                                                                         `{"a": null, "b": null}`,
		`{"anyOf":[{"type":"string","enum":["x"]},{"type":"null"}]}`:                                                                                                                `"x"`,
		`{"type":["null","integer"]}`: `0`,
		`true`:                        `null`,
		``:                            `null`,
		`{"properties":7}`:            `null`,
	} {
		s := readSchema(json.RawMessage(raw))
		if got := s.sample(deepest); got != want {
			t.Errorf("%s: the sample is %s, want %s", raw, got, want)
		}
		if n := len(s.lines(deepest)); n > deepest {
			t.Errorf("%s: %d lines", raw, n)
		}
	}
}
