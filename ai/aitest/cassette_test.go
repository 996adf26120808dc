package aitest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
)

type mood string

func (mood) Values() []string { return []string{"good", "bad"} }

// record runs f with a cassette that records what the steps say, and returns how that failed.
func record(t *testing.T, path string, rec aitest.Recording, steps []aitest.Step, f func(ctx context.Context)) string {
	t.Helper()
	t.Setenv("AI_RECORD", "1")
	return watch(func(r *recorder) {
		rec.Config.Providers = map[string]ai.Provider{"p": aitest.Script(t, steps...)}
		f(aitest.Cassette(t.Context(), r, path, rec))
	})
}

func replay(t *testing.T, path string, rec aitest.Recording, f func(ctx context.Context)) string {
	t.Helper()
	t.Setenv("AI_RECORD", "")
	return watch(func(r *recorder) {
		rec.Config.Providers = map[string]ai.Provider{"p": aitest.Script(t)} // nobody may ask it
		f(aitest.Cassette(t.Context(), r, path, rec))
	})
}

func TestCassette(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "a.json")
	var answers []string
	ask := func(ctx context.Context) {
		answers = nil
		for _, text := range []string{"one", "two", "one"} {
			s, err := ai.GenerateText(ctx, "p:m-1", text)
			if err != nil {
				s = string(err.(interface{ Unwrap() error }).Unwrap().Error())
			}
			answers = append(answers, s)
		}
		m, err := ai.Classify[mood](ctx, "p:m-1", "fine weather")
		if err != nil {
			answers = append(answers, err.Error())
		}
		answers = append(answers, string(m))
	}
	steps := []aitest.Step{aitest.Text("1"), aitest.Text("2"), aitest.Text("1 again"), aitest.Object(map[string]string{"value": "good"})}
	if wrong := record(t, path, aitest.Recording{}, steps, ask); wrong != "" {
		t.Fatalf("recording: %s", wrong)
	}
	first := strings.Join(answers, "|")
	if first != "1|2|1 again|good" {
		t.Errorf("recorded %s", first)
	}
	if wrong := replay(t, path, aitest.Recording{}, ask); wrong != "" {
		t.Errorf("replaying: %s", wrong)
	}
	if again := strings.Join(answers, "|"); again != first {
		t.Errorf("replayed %s, recorded %s", again, first)
	}

	// A request that is not there, with what differs; one too many; one too few.
	wrong := replay(t, path, aitest.Recording{}, func(ctx context.Context) {
		if _, err := ai.GenerateText(ctx, "p:m-1", "three", ai.System("be brief")); !ai.IsKind(err, ai.Invalid) {
			t.Errorf("a miss: %v", err)
		}
	})
	for _, want := range []string{`-       "text": "one"`, `+       "text": "three"`, `+   "system": "be brief"`, "AI_RECORD=1"} {
		if !strings.Contains(wrong, want) {
			t.Errorf("the failure has no %q:\n%s", want, wrong)
		}
	}
	if strings.Count(wrong, "\n") > 14 {
		t.Errorf("the diff shows what is the same, too:\n%s", wrong)
	}
	wrong = replay(t, path, aitest.Recording{}, func(ctx context.Context) {
		for range 3 {
			_, _ = ai.GenerateText(ctx, "p:m-1", "one")
		}
	})
	if !strings.Contains(wrong, "was recorded 2 times, and asked once more") {
		t.Errorf("one too many: %s", wrong)
	}
	wrong = replay(t, path, aitest.Recording{}, func(ctx context.Context) { _, _ = ai.GenerateText(ctx, "p:m-1", "one") })
	if !strings.Contains(wrong, "3 of 4 recorded calls were not asked for") {
		t.Errorf("too few: %s", wrong)
	}
	wrong = replay(t, path, aitest.Recording{Partial: true}, func(ctx context.Context) { _, _ = ai.GenerateText(ctx, "p:m-1", "one") })
	if wrong != "" {
		t.Errorf("too few, which is allowed: %s", wrong)
	}
}

// Errors are recorded as well: a call through bad weather is played with its weather.
func TestCassetteOfErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	var err error
	ask := func(ctx context.Context) { _, err = ai.GenerateText(ctx, "p:m-1", "one") }
	if wrong := record(t, path, aitest.Recording{}, []aitest.Step{aitest.RateLimited(90 * time.Second)}, ask); wrong != "" {
		t.Fatal(wrong)
	}
	first := err
	if wrong := replay(t, path, aitest.Recording{}, ask); wrong != "" {
		t.Error(wrong)
	}
	if !ai.IsKind(first, ai.RateLimited) || !ai.IsKind(err, ai.RateLimited) {
		t.Errorf("recorded %v, replayed %v", first, err)
	}
}

func TestCassetteKeepsNoKeys(t *testing.T) {
	t.Setenv("CORP_API_KEY", "correct horse battery")
	for name, text := range map[string]string{
		"of a provider": "my key is sk-" + strings.Repeat("abcd", 6),
		"of Google":     "AIzaSyA1234567890abcdefghijklmnopqrstuv",
		"bearer":        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
		"private key":   "-----BEGIN RSA PRIVATE KEY-----",
		"signed token":  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
		"password":      "postgres://me:hunter2@db/x",
		"CORP_API_KEY":  "it is correct horse battery",
	} {
		for _, where := range []string{"asked", "answered"} {
			path := filepath.Join(t.TempDir(), "a.json")
			asked, answered := text, "fine"
			if where == "answered" {
				asked, answered = "fine", text
			}
			ask := func(ctx context.Context) { _, _ = ai.GenerateText(ctx, "p:m-1", asked) }
			wrong := record(t, path, aitest.Recording{}, []aitest.Step{aitest.Text(answered)}, ask)
			if !strings.Contains(wrong, "is not written: no secret is written: call 1") || !strings.Contains(wrong, name) && name != "password" || strings.Contains(wrong, text) {
				t.Errorf("%s, %s: %q", name, where, wrong)
			}
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s, %s: written all the same", name, where)
			}
		}
	}
}

func TestCassetteRedacts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	rec := aitest.Recording{Redact: func(s string) string { return strings.ReplaceAll(s, "Ada Lovelace", "NAME") }}
	var got string
	ask := func(ctx context.Context) { got, _ = ai.GenerateText(ctx, "p:m-1", "Who is Ada Lovelace?") }
	if wrong := record(t, path, rec, []aitest.Step{aitest.Text("Ada Lovelace wrote programs.")}, ask); wrong != "" || got != "Ada Lovelace wrote programs." {
		t.Fatalf("recording: %q, %s", got, wrong)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(b), "Ada") || strings.Count(string(b), "NAME") != 2 {
		t.Errorf("the file is %s, %v", b, err)
	}
	if wrong := replay(t, path, rec, ask); wrong != "" || got != "NAME wrote programs." {
		t.Errorf("replaying: %q, %s", got, wrong)
	}
}

func TestCassetteThatIsNone(t *testing.T) {
	for want, text := range map[string]string{"is no cassette": "{", "has version 7": `{"version":7}`, "there is no cassette": ""} {
		path := filepath.Join(t.TempDir(), "a.json")
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if wrong := replay(t, path, aitest.Recording{}, func(context.Context) {}); !strings.Contains(wrong, want) {
			t.Errorf("%q: %s", text, wrong)
		}
	}
}
