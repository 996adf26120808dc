package aitest_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/model"
)

// asks answers by a function.
type asks func(ctx context.Context, r *ai.Request) (*ai.Response, error)

func (a asks) Open(string) (ai.Model, error) { return a, nil }

func (a asks) Generate(ctx context.Context, r *ai.Request, _ func(ai.Delta)) (*ai.Response, error) {
	return a(ctx, r)
}

// tapes records f with a model, and plays it.
func tapes(t *testing.T, rec aitest.Recording, m asks, f func(ctx context.Context)) (file string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.json")
	t.Setenv("AI_RECORD", "1")
	rec.Config.Providers = map[string]ai.Provider{"p": m}
	if wrong := watch(func(r *recorder) { f(aitest.Cassette(t.Context(), r, path, rec)) }); wrong != "" {
		t.Errorf("recording: %s", wrong)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := replay(t, path, aitest.Recording{Redact: rec.Redact}, f); wrong != "" {
		t.Errorf("playing: %s", wrong)
	}
	return string(b)
}

// What is hidden is hidden in the file alone: the model is sent, the tools are given, and the caller keeps what it was.
func TestCassetteChangesNothing(t *testing.T) {
	var sent []string
	m := func(_ context.Context, r *ai.Request) (*ai.Response, error) {
		b, _ := json.Marshal(r)
		sent = append(sent, string(b))
		return &ai.Response{Message: ai.Message{Text: "Ada?", Calls: []ai.ToolCall{{ID: "1", Name: "look", Args: json.RawMessage(`{"name":"Ada"}`)}}}, Stop: ai.StopTools}, nil
	}
	msgs := []ai.Message{{Role: ai.User, Text: "I am Ada", Files: []ai.File{{Name: "Ada.txt", MIME: "text/plain", Data: []byte("Ada was here")}}}}
	extra := map[string]any{"user": map[string]any{"name": "Ada"}}
	file := tapes(t, aitest.Recording{Hide: []string{"A[d]a"}}, m, func(ctx context.Context) {
		r, err := ai.Generate(ctx, "p:m", msgs, ai.Extra(extra))
		if err != nil {
			t.Error(err)
			return
		}
		if msgs[0].Text != "I am Ada" || string(msgs[0].Files[0].Data) != "Ada was here" || !reflect.DeepEqual(extra, map[string]any{"user": map[string]any{"name": "Ada"}}) {
			t.Errorf("the caller has %+v, %v", msgs, extra)
		}
		if recording := os.Getenv("AI_RECORD") == "1"; recording && string(r.Message.Calls[0].Args) != `{"name":"Ada"}` {
			t.Errorf("the answer is %+v", r.Message)
		}
	})
	if len(sent) != 1 || strings.Count(sent[0], "Ada") != 3 || !strings.Contains(sent[0], "QWRhIHdhcyBoZXJl") { // the file is in base64
		t.Errorf("sent %q", sent)
	}
	if strings.Contains(file, "Ada") || strings.Contains(file, "QWRh") {
		t.Errorf("the file is %s", file)
	}
}

// Patterns that fit anything hide texts and not what a call is made of; what is JSON stays JSON, and numbers are numbers.
func TestCassetteHidesTextsOnly(t *testing.T) {
	type bill struct {
		Account int64  `json:"account"`
		Name    string `json:"name"`
	}
	m := func(_ context.Context, r *ai.Request) (*ai.Response, error) {
		if len(r.Messages) == 1 && r.Schema == nil {
			return &ai.Response{Message: ai.Message{Text: "DE1234 and 5678"}, Stop: ai.StopEnd, Served: "m-2026"}, nil
		}
		if r.Schema == nil {
			return nil, &ai.Error{Kind: ai.RateLimited, Status: 429, RetryAfter: 90 * time.Second, Err: errors.New("slow down, 1234")}
		}
		return &ai.Response{Message: ai.Message{Text: `{"account":12345678,"name":"x 87654321"}`}, Stop: ai.StopEnd}, nil
	}
	for _, hide := range [][]string{{`\w+`}, {`\d+`}, {`\S+$`}, {`(?m)^.{3}`}, {`\b\d{4}\b`, `[A-Z]{2}`}, {`.{5}$`}, {`user|end|rate|assistant`}, {`\[\w+\]`}} {
		file := tapes(t, aitest.Recording{Hide: hide}, m, func(ctx context.Context) {
			if _, err := ai.GenerateObject[bill](ctx, "p:m", "of 12345678"); err != nil {
				t.Errorf("%q: %v", hide, err)
			}
			msgs := []ai.Message{{Role: ai.User, Text: "account 12345678, user 1234"}}
			r, err := ai.Generate(ctx, "p:m", msgs)
			if err != nil {
				t.Errorf("%q: %v", hide, err)
				return
			}
			msgs = append(msgs, r.Message, ai.Message{Role: ai.User, Text: "1234 again"})
			var e *ai.Error
			if _, err = ai.Generate(ctx, "p:m", msgs); !errors.As(err, &e) || e.Kind != ai.RateLimited || e.RetryAfter != 90*time.Second {
				t.Errorf("%q: %v", hide, err)
			}
		})
		if hide[0] == `\d+` && (strings.Contains(file, "5678") || strings.Contains(file, "8765")) {
			t.Errorf("%s", file)
		}
	}
	grows := aitest.Recording{Redact: func(s string) string { return s + "!" }}
	wrong := record(t, filepath.Join(t.TempDir(), "a.json"), grows, nil, func(ctx context.Context) {
		if _, err := ai.GenerateText(ctx, "p:m", "x"); err == nil || !strings.Contains(err.Error(), "it must leave that as it is") {
			t.Errorf("a function that never ends: %v", err)
		}
	})
	if wrong != "" {
		t.Error(wrong)
	}
}

// Arguments that are deep, long or broken, and text that is no UTF-8, are in a file that is about as long, and played.
func TestCassetteOfOddAnswers(t *testing.T) {
	deep := `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`
	long := `{"rows":[` + strings.Repeat("7,", 50_000) + `7]}`
	for _, args := range []string{deep, long, `{"a": `, ``, ` { "a" : 1 } `} {
		m := func(context.Context, *ai.Request) (*ai.Response, error) {
			return &ai.Response{Message: ai.Message{Text: "a\xff\xfeb", Calls: []ai.ToolCall{{Name: "look", Args: json.RawMessage(args)}}}, Stop: ai.StopTools}, nil
		}
		file := tapes(t, aitest.Recording{}, m, func(ctx context.Context) {
			for range 2 {
				r, err := ai.Generate(ctx, "p:m", []ai.Message{{Role: ai.User, Text: "x\xff\xfey"}})
				if err != nil || len(r.Message.Calls) != 1 || len(args) > 2000 && string(r.Message.Calls[0].Args) != args {
					t.Errorf("%.20q: %v", args, err)
				}
			}
		})
		if len(file) > 2*len(args)+2*len(args)/10+3000 {
			t.Errorf("%d bytes of arguments, a file of %d", len(args), len(file))
		}
	}
}

// A request that was given up when the caller's time was over is given up again.
func TestCassetteOfDeadlines(t *testing.T) {
	never := func(ctx context.Context, r *ai.Request) (*ai.Response, error) {
		if r.Messages[0].Text == "slow" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return &ai.Response{Message: ai.Message{Text: "fast"}, Stop: ai.StopEnd}, nil
	}
	t.Setenv("AI_RECORD", "1") // before the bubble
	path := filepath.Join(t.TempDir(), "a.json")
	ask := func(ctx context.Context) {
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := ai.GenerateText(short, "p:m", "slow"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slow: %v", err)
		}
		if text, err := ai.GenerateText(ctx, "p:m", "fast"); err != nil || text != "fast" {
			t.Errorf("fast: %q, %v", text, err)
		}
	}
	for _, m := range []ai.Provider{asks(never), aitest.Script(t)} {
		synctest.Test(t, func(t *testing.T) {
			if wrong := watch(func(r *recorder) {
				ask(aitest.Cassette(t.Context(), r, path, aitest.Recording{Config: ai.Config{Providers: map[string]ai.Provider{"p": m}}}))
			}); wrong != "" {
				t.Error(wrong)
			}
		})
		_ = os.Unsetenv("AI_RECORD") // then it is played
	}
}

// AI_RECORD replaces no cassette that was exported: no model would say that again. Of others it keeps what they hide.
func TestCassetteRecordedOver(t *testing.T) {
	rec := recordingOf(t)
	rec.Hide = []string{`You guide A\w+`}
	path, end, _ := export(t, rec, 0)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AI_RECORD", "1")
	if wrong := play(t, path, recordingOf(t), end); wrong != "" {
		t.Error(wrong)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed: %v", err)
	}
	path = filepath.Join(t.TempDir(), "a.json")
	ask := func(ctx context.Context) { _, _ = ai.GenerateText(ctx, "p:m", "I am Ada") }
	for _, hide := range [][]string{{"A[d]a"}, nil} {
		if wrong := record(t, path, aitest.Recording{Hide: hide}, []aitest.Step{aitest.Text("Ada?")}, ask); wrong != "" {
			t.Error(wrong)
		}
		if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "Ada") {
			t.Errorf("%s, %v", b, err)
		}
	}
}

func TestCassetteThatIsBroken(t *testing.T) {
	const good = `{"version":1,"calls":[{"provider":"p","request":{"model":"m","messages":[{"role":"user","text":"x"}],"max_tokens":4096},"response":{"message":{"role":"assistant","text":"y"},"stop":"end"}}]}`
	for want, file := range map[string]string{
		"there is more after its end": good + "\n<<<<<<< HEAD",
		"is no regular expression":    strings.Replace(good, `"calls"`, `"hide":["("],"calls"`, 1),
		"call 1 needs a model":        `{"version":1,"calls":[null]}`,
		"either a response":           strings.Replace(good, `"response"`, `"unanswered":true,"response"`, 1),
		"call 1 continues call 1":     strings.Replace(good, `"max_tokens"`, `"continues":1,"max_tokens"`, 1),
	} {
		path := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if wrong := replay(t, path, aitest.Recording{}, func(context.Context) {}); !strings.Contains(wrong, want) || !strings.Contains(wrong, path) {
			t.Errorf("%s; want %q", wrong, want)
		}
	}
}

// Keys are found wherever they stand, and whatever the variable is called that holds them.
func TestGuard(t *testing.T) {
	t.Setenv("AI_KEY_127_0_0_1", "topsecretvalue1")
	t.Setenv("PGPASSWORD", "topsecretvalue2")
	t.Setenv("TOKEN", "topsecretvalue3")
	t.Setenv("CORP_KEY", "top\nsecret\"value5")
	for name, file := range map[string]ai.File{
		"AI_KEY_127_0_0_1":   {Name: "topsecretvalue1"},
		"PGPASSWORD":         {Data: []byte("it is topsecretvalue2")},
		"TOKEN":              {Data: []byte("topsecretvalue3")},
		"CORP_KEY":           {Data: []byte(`{"k":"top\nsecret\"value5"}`)},
		"a key of Google":    {Data: []byte("M\xfcller;AIzaSyA1234567890abcdefghijklmnopqrstuv")},
		"a token of GitLab":  {Data: []byte("\x00glpat-abcdefghijABCDEFGHIJ")},
		"name with its pass": {Data: []byte("Authorization: Basic YWRhOmh1bnRlcjIyMjIyMg==")},
	} {
		if file.MIME = "text/plain"; file.Name == "" {
			file.Name = "f"
		}
		if file.Data == nil {
			file.Data = []byte("x")
		}
		path := filepath.Join(t.TempDir(), "a.json")
		wrong := record(t, path, aitest.Recording{}, []aitest.Step{aitest.Text("y")}, func(ctx context.Context) {
			_, _ = ai.Generate(ctx, "p:m", []ai.Message{{Role: model.User, Text: "x", Files: []ai.File{file}}})
		})
		if _, err := os.Stat(path); err == nil || !strings.Contains(wrong, "no secret is written") || !strings.Contains(wrong, name) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}
