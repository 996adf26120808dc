package aitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// brain answers by what it is asked, and by how often it was asked so.
type brain struct {
	mu    sync.Mutex
	asked map[string]int
}

func (b *brain) Open(string) (ai.Model, error) { return b, nil }

func (b *brain) Generate(_ context.Context, r *ai.Request, _ func(ai.Delta)) (*ai.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := r.Messages[len(r.Messages)-1]
	word := last.Text
	if b.asked == nil {
		b.asked = map[string]int{}
	}
	b.asked[r.Model+" "+word]++
	n := b.asked[r.Model+" "+word]
	say := func(stop ai.Stop, text string, calls ...ai.ToolCall) (*ai.Response, error) {
		return &ai.Response{
			Message: ai.Message{Text: text, Calls: calls, Raw: json.RawMessage(`[{"z":1,"a":"<thought>"}]`), From: "p"}, Stop: stop,
			Served: r.Model + "-2026", RequestID: fmt.Sprint("r", n), Usage: ai.Usage{Input: 10, Output: 5},
		}, nil
	}
	fail := func(k ai.Kind, status int, after time.Duration) (*ai.Response, error) {
		return nil, &ai.Error{Kind: k, Provider: "p", Model: r.Model, Status: status, Code: "word", RetryAfter: after, Err: errors.New("because of Ada")}
	}
	tool := func(id, args string) ai.ToolCall {
		return ai.ToolCall{ID: id, Name: "look", Args: json.RawMessage(args)}
	}
	switch {
	case strings.HasPrefix(word, "storm") && r.Model == "m-1":
		return fail(ai.Transient, 529, 0)
	case word == "limited" && n == 1:
		return fail(ai.RateLimited, 429, 90*time.Second)
	case word == "retired":
		return fail(ai.Invalid, 404, 0)
	case word == "judged" && n == 1:
		return say(ai.StopEnd, "bad")
	case word == "object", strings.HasPrefix(word, "Your answer does not fit") && n == 1:
		return say(ai.StopEnd, "{")
	case strings.HasPrefix(word, "Your answer does not fit"):
		return say(ai.StopEnd, `{"number":"7","total":9007199254740993}`)
	case word == "sort":
		return say(ai.StopEnd, `{"value":"good"}`)
	case word == "long" && r.MaxTokens < 5000:
		return say(ai.StopLength, `{"number":"7","tot`)
	case word == "long":
		return say(ai.StopEnd, `{"number":"8","total":1}`)
	case word == "pause":
		return say(ai.StopPause, "half of it, ")
	case word == "travel":
		return say(ai.StopTools, "I look.", tool("a", `{"place":"here"}`), tool("b", `{"place": `), tool("c", `{"place":"there"}`))
	case last.Role == model.Tool && n == 1:
		return say(ai.StopTools, "", tool("d", `{"place":"back"}`))
	}
	return say(ai.StopEnd, "good, by "+r.Model+": "+word)
}

type report struct {
	Texts []string
	Kind  mood
	Paper struct {
		Number string `json:"number"`
		Total  int64  `json:"total"`
	}
}

// errands asks in all the ways in which models are asked.
func errands() (*durable.Workflow[report], *durable.Workflow[report]) {
	type place struct {
		Place string `json:"place"`
	}
	look := ai.NewTool("look", "looks around", func(_ context.Context, p place) (string, error) { return "nothing at " + p.Place, nil }, ai.ReadOnly())
	ask := func(name, prompt string, opts ...ai.Option) durable.Node[report] {
		return durable.Step(name, func(ctx context.Context, r *report) error {
			text, err := ai.GenerateText(ctx, "smart", prompt, opts...)
			if err != nil && !ai.IsKind(err, ai.Invalid) {
				return err
			}
			if err != nil {
				text = err.Error()
			}
			if r.Texts = append(r.Texts, text); text == "bad" {
				return errors.New("that is bad")
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 3})
	}
	child := durable.Define("child", ask("alone", "in a child"))
	return durable.Define(
		"errands",
		ask("plain", "hello", ai.System("be\x7f <brief>"), ai.Temperature(0.5), ai.Effort("low"), ai.StopAt("END", "."), ai.MaxTokens(77),
			ai.Extra(map[string]any{"seed": int64(9007199254740993), "user": map[string]any{"id": "Ada"}}),
			ai.Files(ai.File{Name: "a.txt", MIME: "text/plain", Data: []byte("Ada was here")}, ai.File{Name: "b.pdf", MIME: "application/pdf", Data: []byte("%PDF\x00\xff")})),
		ask("warm", "hello", ai.Temperature(1)),
		ask("limited", "limited"),
		ask("storm", "storm", ai.Fallback("cheap")),
		ask("retired", "retired"),
		ask("judged", "judged"),
		ask("pause", "pause"),
		durable.Step("object", func(ctx context.Context, r *report) (err error) {
			r.Paper, err = ai.GenerateObject[struct {
				Number string `json:"number"`
				Total  int64  `json:"total"`
			}](ctx, "smart", "object", ai.Repair(2))
			return err
		}),
		durable.Step("long", func(ctx context.Context, r *report) (err error) {
			_, err = ai.GenerateObject[struct {
				Number string `json:"number"`
				Total  int64  `json:"total"`
			}](ctx, "smart", "long")
			return err
		}),
		durable.Step("sort", func(ctx context.Context, r *report) (err error) {
			r.Kind, err = ai.Classify[mood](ctx, "smart", "sort")
			return err
		}),
		durable.Step("agent", func(ctx context.Context, r *report) error {
			done, err := ai.Agent{Name: "guide", Model: "smart", System: "You guide Ada.", Tools: []ai.Tool{look}, Options: []ai.Option{ai.Effort("high")}}.Run(ctx, "travel")
			if err != nil {
				return err
			}
			r.Texts = append(r.Texts, done.Text)
			done, err = done.Continue(ctx, "and then?")
			if err == nil {
				r.Texts = append(r.Texts, done.Text)
			}
			return err
		}),
		durable.Each("each", func(*report) []string { return []string{"x", "y", "z"} }, durable.Step("item", func(ctx context.Context, item *string) (err error) {
			*item, err = ai.GenerateText(ctx, "smart", *item)
			return err
		})).Into(func(r *report, items []string) { r.Texts = append(r.Texts, items...) }),
		durable.Child("child", child, func(r *report) report { return report{} }, func(r *report, c report) { r.Texts = append(r.Texts, c.Texts...) }),
	), child
}

func recordingOf(t *testing.T) aitest.Recording {
	t.Helper()
	return aitest.Recording{Config: ai.Config{
		Aliases: map[string]string{"smart": "p:m-1", "cheap": "q:m-2"}, Getenv: func(string) string { return "" },
		Providers: map[string]ai.Provider{"p": new(brain), "q": new(brain)},
	}}
}

// perform runs errands, kills them on the way, and writes what was asked to a file.
func perform(t *testing.T, ctx context.Context, path string, rec aitest.Recording, crash int) (end report, out aitest.Exported) {
	t.Helper()
	w, child := errands()
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w, child}}, func(t *testing.T, e *durabletest.Engine) {
		e.CrashAfter(crash)
		run := durabletest.Start(e, w, report{})
		end = run.Done()
		var b bytes.Buffer
		var err error
		if out, err = aitest.Export(t.Context(), e.Engine, run.Look().ID, &b, rec); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}, durabletest.Context(ctx))
	return end, out
}

// export does so with a client of rec.
func export(t *testing.T, rec aitest.Recording, crash int) (path string, end report, out aitest.Exported) {
	t.Helper()
	c, err := ai.New(rec.Config)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "run.json")
	end, out = perform(t, ai.WithClient(t.Context(), c), path, rec, crash)
	return path, end, out
}

// play runs errands with a cassette, and returns how that failed.
func play(t *testing.T, path string, rec aitest.Recording, end report) string {
	t.Helper()
	w, child := errands()
	return watch(func(r *recorder) {
		rec.Config.Providers = map[string]ai.Provider{"p": aitest.Script(t), "q": aitest.Script(t)} // nobody may ask them
		ctx := aitest.Cassette(t.Context(), r, path, rec)
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w, child}}, func(t *testing.T, e *durabletest.Engine) {
			if again := durabletest.Start(e, w, report{}).Done(); !reflect.DeepEqual(again, end) {
				t.Errorf("played %+v\nwas    %+v", again, end)
			}
		}, durabletest.Context(ctx))
	})
}

// A run that has met everything becomes a cassette, and a test that plays it asks the same and ends the same, also if
// the run was killed on the way.
func TestExport(t *testing.T) {
	for crash := 0; crash < 100; crash += 7 {
		t.Run(fmt.Sprint(crash), func(t *testing.T) {
			rec := recordingOf(t)
			path, end, out := export(t, rec, crash)
			if out.Runs != 2 || out.Calls < 28 || out.LeftOut > 1 || out.Superseded != 1 || out.Files != 1 {
				t.Errorf("exported %+v", out)
			}
			if wrong := play(t, path, rec, end); wrong != "" {
				t.Error(wrong)
			}
		})
	}
}

// What is exported is what would have been recorded while it happened.
func TestExportIsWhatRecordingWrites(t *testing.T) {
	t.Setenv("AI_RECORD", "1")
	dir, rec := t.TempDir(), recordingOf(t)
	rec.Hide = []string{"A[d]a"}
	if wrong := watch(func(r *recorder) {
		perform(t, aitest.Cassette(t.Context(), r, filepath.Join(dir, "recorded.json"), rec), filepath.Join(dir, "exported.json"), rec, 0)
	}); wrong != "" {
		t.Fatal(wrong)
	}
	calls := func(name string) (list []string) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		var file struct {
			Hide  []string
			Calls []map[string]any
		}
		if err == nil {
			err = json.Unmarshal(b, &file)
		}
		if err != nil || !slices.Equal(file.Hide, rec.Hide) || bytes.Contains(b, []byte("Ada")) || bytes.Count(b, []byte("[hidden]")) < 4 {
			t.Fatalf("%s hides %q, %v: %s", name, file.Hide, err, b)
		}
		for _, c := range file.Calls {
			if e, ok := c["error"].(map[string]any); ok { // what package ai says of it is recorded with it
				e["text"], _, _ = strings.Cut(e["text"].(string), " (asked for")
			}
			one, _ := json.Marshal(c)
			list = append(list, string(one))
		}
		slices.Sort(list) // items of Each begin and end in any order
		return list
	}
	recorded, exported := calls("recorded.json"), calls("exported.json")
	if len(recorded) < 28 || len(recorded) != len(exported) {
		t.Fatalf("%d recorded, %d exported", len(recorded), len(exported))
	}
	for i := range recorded {
		if recorded[i] != exported[i] {
			t.Errorf("call %d:\nrecorded %s\nexported %s", i+1, recorded[i], exported[i])
		}
	}
}

// What looks like a key is in no file, wherever it stands: in a text, in a file that is text, in a name, in what is to be hidden.
func TestExportKeepsNoKeys(t *testing.T) {
	key := "sk-" + strings.Repeat("abcd", 6)
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, r *report) error {
		text, err := ai.GenerateText(ctx, "p:m", r.Texts[0], ai.Files(ai.File{Name: "f", MIME: "text/csv", Data: []byte(r.Texts[1])}), ai.Extra(map[string]any{r.Texts[2]: 1}))
		r.Texts = append(r.Texts, text)
		return err
	}))
	c, err := ai.New(ai.Config{Providers: map[string]ai.Provider{"p": new(brain)}})
	if err != nil {
		t.Fatal(err)
	}
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		for i, where := range []string{"what looks like a key of a provider in request.messages[0].text", "in the file request.messages[0].files[0]", "in a name in request.extra", "what is to be hidden has"} {
			texts := []string{"a", "b", "c", ""}
			texts[i] = key
			rec := aitest.Recording{Hide: slices.DeleteFunc([]string{texts[3]}, func(s string) bool { return s == "" })}
			run := durabletest.Start(e, w, report{Texts: texts[:3]})
			run.Done()
			var b bytes.Buffer
			_, err := aitest.Export(t.Context(), e.Engine, run.Look().ID, &b, rec)
			if err == nil || !strings.Contains(err.Error(), where) || strings.Contains(err.Error(), key) || b.Len() > 0 {
				t.Errorf("%s: %v, %d bytes", where, err, b.Len())
			}
			rec.Hide = []string{`sk-\w+`}
			if _, err := aitest.Export(t.Context(), e.Engine, run.Look().ID, &b, rec); (err != nil) != (i == 2) || strings.Contains(b.String(), key) { // names stay
				t.Errorf("%s, hidden: %v", where, err)
			}
		}
	}, durabletest.Context(ai.WithClient(t.Context(), c)))
}

func TestExportRefuses(t *testing.T) {
	w := durable.Define("w", durable.Step("s", func(context.Context, *report) error { return nil }))
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, w, report{})
		run.Done()
		id := run.Look().ID
		for want, try := range map[string]struct {
			id  durable.ID
			rec []aitest.Recording
		}{
			"no answer of a model":      {id: id},
			"is no regular expression":  {id: id, rec: []aitest.Recording{{Hide: []string{"("}}}},
			"fits a text that is empty": {id: id, rec: []aitest.Recording{{Hide: []string{"x*"}}}},
			"2 Recordings":              {id: id, rec: make([]aitest.Recording, 2)},
			durable.ErrNotFound.Error(): {id: durable.ID{1}},
		} {
			var b bytes.Buffer
			if _, err := aitest.Export(t.Context(), e.Engine, try.id, &b, try.rec...); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
				t.Errorf("%s: %v, %d bytes", want, err, b.Len())
			}
		}
	})
}

// A conversation is on the cassette once, however many turns it has; what continues what is checked.
func TestCassetteGrowsWithTheConversation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	converse := func(ctx context.Context) {
		var msgs []ai.Message
		for i := range 20 {
			msgs = append(msgs, ai.Message{Role: ai.User, Text: strings.Repeat(fmt.Sprint(i%10), 2000)})
			r, err := ai.Generate(ctx, "p:m-1", msgs)
			if err != nil {
				t.Error(err)
				return
			}
			msgs = append(msgs, r.Message)
		}
	}
	var steps []aitest.Step
	for range 20 {
		steps = append(steps, aitest.Text(strings.Repeat("a", 2000)))
	}
	if wrong := record(t, path, aitest.Recording{}, steps, converse); wrong != "" {
		t.Fatal(wrong)
	}
	if wrong := replay(t, path, aitest.Recording{}, converse); wrong != "" {
		t.Fatal(wrong)
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) > 150_000 { // each prompt once, each answer twice: 120,000
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, at := range []string{"20", "21", "-1"} {
		broken := bytes.Replace(b, []byte(`"continues": 19,`), []byte(`"continues": `+at+`,`), 1)
		if bytes.Equal(broken, b) {
			t.Fatal("nothing continues call 19")
		}
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if wrong := replay(t, path, aitest.Recording{}, func(context.Context) {}); !strings.Contains(wrong, "call 20 continues call "+at) {
			t.Errorf("%s: %s", at, wrong)
		}
	}
}
