package aitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/store/sqlite"
)

// The canaries: a key, a prompt, and somebody's name that the provider and the model bring up themselves.
const (
	canaryKey    = "sk-canary-key-0815-4711"
	canaryPrompt = "the canary prompt that nobody else is to read"
	canaryName   = "Ada Canary"
)

func hideName(s string) string { return strings.ReplaceAll(s, canaryName, "[a name]") }

// careful is an answer whose own check quotes it.
type careful struct {
	Name string `json:"name"`
}

func (c careful) Validate() error { return fmt.Errorf("%q is nobody that we know", c.Name) }

// logs is a buffer that many write to.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// AI-33: a provider that repeats the key, the headers and the prompt in its error, and adds a name, gives nothing of it to errors,
// failures, records and logs; the key is nowhere in the database. What an answer says is in the records of the
// conversation, and there only.
func TestAI33_CanaryEverywhere(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"type":"error","error":{"type":"invalid_request_error","message":"from %s: headers %s, prompt %s"}}`,
			canaryName, r.Header.Get("x-api-key")+r.Header.Get("Authorization"), canaryPrompt)
	}))
	defer echo.Close()
	srv := aitest.NewServer(t, aitest.Script(t, aitest.Object(careful{canaryName}), aitest.Object(careful{canaryName})), aitest.Options{Key: canaryKey})
	for name, c := range map[string]struct {
		base string
		kind ai.Kind
		ask  func(ctx context.Context) error
	}{
		"an error of the provider": {echo.URL, ai.Invalid, func(ctx context.Context) error {
			_, err := ai.GenerateText(ctx, "smart", canaryPrompt)
			return err
		}},
		"an answer that does not fit": {srv.URL, ai.BadAnswer, func(ctx context.Context) error {
			_, err := ai.GenerateObject[careful](ctx, "smart", canaryPrompt)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			getenv := func(name string) string {
				return map[string]string{"ANTHROPIC_BASE_URL": c.base, "ANTHROPIC_API_KEY": canaryKey}[name]
			}
			client, err := ai.New(ai.Config{Aliases: map[string]string{"smart": "anthropic:m-1"}, Getenv: getenv, Redact: hideName})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(ai.WithClient(t.Context(), client), time.Minute)
			defer cancel()
			dir, out, got := t.TempDir(), new(logs), error(nil)
			w := durable.Define("w", durable.Step("ask", func(ctx context.Context, _ *memo) error {
				got = c.ask(ctx)
				durable.Logger(ctx).Error("it failed", "err", got)
				return got
			}))
			failure, calls := ran(t, ctx, filepath.Join(dir, "a.db"), out, w)
			if !ai.IsKind(got, c.kind) || len(calls) == 0 {
				t.Fatalf("%v, %d calls", got, len(calls))
			}
			told, err := json.Marshal(calls)
			if err != nil {
				t.Fatal(err)
			}
			for what, text := range map[string]string{"the error": got.Error(), "the failure": failure, "the calls": string(told), "the log": out.String()} {
				for _, canary := range []string{canaryKey, "canary prompt", canaryName} {
					if strings.Contains(text, canary) {
						t.Errorf("%s is in %s: %s", canary, what, text)
					}
				}
			}
			files, err := filepath.Glob(filepath.Join(dir, "a.db*"))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(b, []byte(canaryKey)) || c.kind == ai.Invalid && bytes.Contains(b, []byte(canaryName)) {
					t.Errorf("a canary is in %s", f)
				}
			}
		})
	}
}

// ran runs a workflow on SQLite until it fails, and closes all.
func ran(t *testing.T, ctx context.Context, path string, out *logs, w *durable.Workflow[memo]) (failure string, calls []ai.CallInfo) {
	t.Helper()
	e, err := durable.Open(ctx, sqlite.Open(path), durable.Config{Workflows: []durable.Definition{w}, Logger: slog.New(slog.NewTextHandler(out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx)
	}()
	defer func() {
		stop()
		<-done
	}()
	run, err := w.Start(ctx, e, memo{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = run.Wait(ctx); err == nil {
		t.Fatal("it has not failed")
	}
	failure = err.Error()
	if calls, err = ai.Calls(ctx, e, run.ID); err != nil {
		t.Fatal(err)
	}
	return failure, calls
}

// Config.Redact holds for cassettes, before the Recording's own.
func TestAI33_CassettesAreRedacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	rec := aitest.Recording{
		Config: ai.Config{Redact: hideName},
		Redact: func(s string) string { return strings.ReplaceAll(s, "[a name]", "[nobody]") },
	}
	ask := func(ctx context.Context) { _, _ = ai.GenerateText(ctx, "p:m-1", "Who is "+canaryName+"?") }
	if wrong := record(t, path, rec, []aitest.Step{aitest.Text(canaryName + " sings.")}, ask); wrong != "" {
		t.Fatal(wrong)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte(canaryName)) || bytes.Count(b, []byte("[nobody]")) != 2 {
		t.Errorf("the file is %s, %v", b, err)
	}
	if wrong := replay(t, path, rec, ask); wrong != "" {
		t.Error(wrong)
	}
}
