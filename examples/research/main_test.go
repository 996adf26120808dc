package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/durabletest"
)

// In virtual time, with the worker killed after some of its commits: the same report, every document paid for once but for
// what was cut off, and nothing beyond the budget without a person.
func TestAI8_AI19_Research(t *testing.T) {
	names, library := shelf(15)
	for n := 0; ; n += 5 {
		r := new(readers)
		cfg := models(r)
		cfg.Getenv = func(string) string { return "" }
		client, err := ai.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		w := study(library)
		crashes := 0
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}, Queues: map[string]durable.Queue{"ai": {Concurrency: 4}}}, func(t *testing.T, e *durabletest.Engine) {
			if n > 0 {
				e.CrashAfter(n)
			}
			run := durabletest.Start(e, w, Study{Question: question, Papers: names}, durable.Key("1"))
			asked := 0
			for {
				run.Settle()
				page, err := e.PendingInputs(t.Context(), durable.InputFilter{})
				if err == nil && len(page.Inputs) == 0 {
					break
				}
				for _, q := range page.Inputs {
					if asked++; asked == 1 { // requests that were refused for their length cost nothing
						if sum := answers(t, e, run.ID); sum.Answers+sum.PossiblyPaid > 12 {
							t.Errorf("killed after commit %d: %+v before anybody raised the budget", n, sum)
						}
					}
					_ = e.ProvideInput(t.Context(), q.Execution, q.ID, map[string]any{"do": "raise", "calls": 60})
				}
			}
			got := run.Done()
			if got.Report.Answer != "The bees of meadow 3 fly from 11 degrees on." || !slices.Equal(got.Report.Sources, []string{"paper-03", "paper-06", "paper-09", "paper-12"}) ||
				!slices.Equal(got.Unread, []string{"paper-15"}) || got.Turns != 2 || asked == 0 {
				t.Errorf("killed after commit %d: %+v, asked %d times", n, got, asked)
			}
			if len(got.Notes) != 4 {
				t.Fatalf("killed after commit %d: %d notes", n, len(got.Notes))
			}
			if by := got.Notes[3].By; by != "rules:careful" || got.Notes[0].By != "rules:quick" {
				t.Errorf("killed after commit %d: the long paper was read by %s, a short one by %s", n, by, got.Notes[0].By)
			}
			sum := answers(t, e, run.ID)
			crashes = e.Crashes()
			if sum.Answers != 16 || sum.PossiblyPaid > 4*crashes {
				t.Errorf("killed after commit %d: %+v", n, sum)
			}
		}, durabletest.Context(ai.WithClient(t.Context(), client)))
		if n > 0 && crashes == 0 {
			if n < 20 {
				t.Errorf("it took %d commits", n)
			}
			return
		}
	}
}

func answers(t *testing.T, e *durabletest.Engine, id durable.ID) (sum ai.Sum) {
	t.Helper()
	calls, err := ai.Calls(t.Context(), e.Engine, id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range calls {
		sum.Add(&calls[i])
	}
	return sum
}

func TestRun(t *testing.T) {
	t.Setenv("AI_MODEL_QUICK", "")
	t.Setenv("AI_MODEL_CAREFUL", "")
	db := filepath.Join(t.TempDir(), "research.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, db); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"meadow 3 fly from 11 degrees", "not read: paper-15", "16 answers"} {
		if !strings.Contains(first.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &first)
		}
	}
	if err := run(t.Context(), &second, db); err != nil { // finds what is done
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}

// refusing is a provider that does so with every request.
func refusing(t *testing.T, status int, body string) (url string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// A key that is refused, one that is not set, and a quota that is used up end the program with what is the matter.
func TestAI18_NoAnswerToBeHad(t *testing.T) {
	db := filepath.Join(t.TempDir(), "research.db")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	t.Setenv("AI_MODEL_QUICK", "openai:gpt-6-sol")
	t.Setenv("AI_MODEL_CAREFUL", "")
	t.Setenv("OPENAI_API_KEY", "wrong")
	for body, status := range map[string]int{
		`{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}`: http.StatusUnauthorized,
		`{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}`: http.StatusTooManyRequests,
	} {
		t.Setenv("OPENAI_BASE_URL", refusing(t, status, body)+"/v1")
		if err := run(ctx, new(bytes.Buffer), db); err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("the error is %v, want %d", err, status)
		}
	}
	t.Setenv("OPENAI_API_KEY", "")
	if err := run(ctx, new(bytes.Buffer), filepath.Join(t.TempDir(), "none.db")); err == nil || !strings.Contains(err.Error(), "set OPENAI_API_KEY") {
		t.Errorf("the error is %v", err)
	}
	t.Setenv("AI_MODEL_QUICK", "")
	var out bytes.Buffer
	if err := run(ctx, &out, db); err != nil || !strings.Contains(out.String(), "meadow 3 fly from 11 degrees") {
		t.Errorf("%v:\n%s", err, &out)
	}
}
