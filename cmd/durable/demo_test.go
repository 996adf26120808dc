package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/examples/documents/samples"
)

// documents is what demo --json prints.
type documents struct {
	Model struct {
		Name, Reason, Badge string
		Offline             bool
	}
	Calls     ai.Sum
	Documents []struct {
		Document  string
		Execution string
		Status    string
		Result    struct {
			DocType string `json:"doc_type"`
			Invoice struct{ Total string }
		}
	}
}

func demoJSON(t *testing.T, args ...string) documents {
	t.Helper()
	r := command(t, "", append([]string{"demo", "--json", "--latency", "0s"}, args...)...)
	if r.code != 0 || r.err != "" {
		t.Fatalf("%+v", r)
	}
	var d documents
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return d
}

func TestAI30_Demo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	db := filepath.Join(t.TempDir(), "demo.db")
	r := command(t, "", "demo", "--yes", "--latency", "4ms", "--db", db)
	if r.code != 0 || r.err != "" {
		t.Fatalf("%+v", r)
	}
	n := len(samples.All())
	for _, want := range []string{
		"reads " + itoa(n) + " sample documents", itoa(n) + " of " + itoa(n) + " documents done",
		"2196.23 EUR", "the lines add up to 1953.00, not to 1935.00", "answered by rule", "list --db " + db,
		"The model is offline:documents-1: no key is set, and no Ollama server answers", "rules + naive Bayes, not an LLM", `said to be "other", not "invoice"`,
		"429, asked too often: waits", "529, overloaded: asked again", "the answer was cut off: asked again", "Cost: unknown",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("it does not say %q:\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("it draws where there is no terminal:\n%q", r.out)
	}
	// A second one finds what is done.
	first := demoJSON(t, "--db", db)
	second := demoJSON(t, "--db", db)
	if m := first.Model; !m.Offline || m.Name != "offline:documents-1" || m.Badge == "" || first.Calls.Answers < 2*n-n/2 || first.Calls != second.Calls {
		t.Errorf("the model is %+v; its calls are %+v, then %+v", m, first.Calls, second.Calls)
	}
	if len(first.Documents) != n || len(second.Documents) != n {
		t.Fatalf("%d and %d documents, want %d", len(first.Documents), len(second.Documents), n)
	}
	for i, d := range first.Documents {
		if d.Execution != second.Documents[i].Execution || d.Status != "completed" {
			t.Errorf("%+v, then %+v", d, second.Documents[i])
		}
	}
	if r := command(t, "", "list", "--db", db, "--limit", "1000"); strings.Count(r.out, "completed") != n {
		t.Errorf("the database does not hold %d runs:\n%s", n, r.out)
	}
}

// Nothing stays behind of a demo that was not told to keep its database.
func TestDemoLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	r := command(t, "", "demo", "--latency", "0s")
	if r.code != 0 || !strings.Contains(r.out, "Nobody can be asked here") {
		t.Errorf("%+v", r)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("it left %v %v", list, err)
	}
}

func TestDemoOfOwnDocuments(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	for name, text := range map[string]string{
		"latin1.txt":                      "Invoice no. 17\nGr\xf6\xdfe   2   10.00   20.00\nTotal 20.00 EUR\n",
		"binary.md":                       strings.Repeat("\x00\x01\x02\xff", 5000),
		"with \x1b[31mred.txt":            "a letter\u202e",
		"empty.md":                        "",
		"not-read.pdf":                    "x",
		strings.Repeat("n", 200) + ".txt": "Dear all, hello.",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db := filepath.Join(t.TempDir(), "own.db")
	r := command(t, "", "demo", "--yes", "--latency", "0s", "--documents", dir, "--db", db)
	if r.code != 0 || !strings.Contains(r.out, "5 of 5 documents done") || strings.ContainsAny(r.out, "\x1b\u202e") {
		t.Errorf("%d\n%s%q", r.code, r.err, r.out)
	}
	if d := demoJSON(t, "--documents", dir, "--db", db); len(d.Documents) != 5 {
		t.Errorf("%+v", d)
	}
	if err := os.WriteFile(filepath.Join(dir, "large.txt"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "", "demo", "--documents", dir); r.code != 1 || !strings.Contains(r.err, "larger than 1024 KiB") {
		t.Errorf("%+v", r)
	}
}

// A demo that is stopped keeps what is done, and says how to go on.
func TestDemoStopped(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	out := &trigger{at: "done ", do: stop}
	var errs strings.Builder
	a := &app{in: strings.NewReader(""), out: out, err: &errs, env: func(string) string { return "" }, now: make(chan struct{})}
	if code := a.run(ctx, []string{"demo", "--latency", "200ms"}); code != 1 || !strings.Contains(errs.String(), "stopped before the end") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	_, db, ok := strings.Cut(out.text.String(), "demo --db ")
	if !ok {
		t.Fatalf("it does not say how to go on:\n%s", &out.text)
	}
	db, _, _ = strings.Cut(db, "\n")
	if d := demoJSON(t, "--db", db); len(d.Documents) != len(samples.All()) {
		t.Errorf("%+v", d)
	}
}

// keyed is a provider with a key, played by the offline model.
func keyed(t *testing.T) *aitest.Server {
	t.Helper()
	srv := aitest.NewServer(t, offline.New(), aitest.Options{Key: "right"})
	t.Setenv("ANTHROPIC_BASE_URL", srv.URL)
	return srv
}

// A key that is not accepted fails no run: they wait, and the next demo, with another key, goes on.
func TestDemoWithAKey(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	srv := keyed(t)
	dir := t.TempDir()
	text := "Invoice no. 17\nTea   2   10.00   20.00\nTotal 20.00 EUR\n"
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(t.TempDir(), "key.db")
	args := []string{"demo", "--yes", "--documents", dir, "--db", db}
	t.Setenv("ANTHROPIC_API_KEY", "wrong")
	r := command(t, "", args...)
	for _, want := range []string{"ANTHROPIC_API_KEY is set", "It may spend $0.50 and 200,000 tokens", "401, the key is not accepted: waits for a person", "0 of 1 documents done", "go on "} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("it does not say %q: %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
	if n := srv.Ledger().Paid; n != 0 {
		t.Errorf("%d were paid", n)
	}
	t.Setenv("ANTHROPIC_API_KEY", "right")
	if r := command(t, "", args...); r.code != 0 || !strings.Contains(r.out, "1 of 1 documents done") || !strings.Contains(r.out, "Cost: $0.0") {
		t.Errorf("%d\n%s%s", r.code, r.out, r.err)
	}
	if l := srv.Ledger(); l.Paid != 2 || len(l.Twice) != 0 {
		t.Errorf("%+v", l)
	}
}

// What a flag cannot do with a model is refused.
func TestDemoRefusesFlags(t *testing.T) {
	for line, want := range map[string]string{
		"--model anthropic:x --latency 1s":   "--latency goes with the offline model",
		"--model anthropic:x --faults=false": "--faults goes with the offline model",
		"--model anthropic:x --chaos":        "asks the offline model only",
		"--model offline:other":              "there is no such model here, only documents-1",
		"--model nobody:x":                   "no such provider",
		"--model anthropic:x":                "no key: set ANTHROPIC_API_KEY",
		"--faults=false --seed 3":            "--seed decides which requests fail",
		"--workers 3":                        "--workers goes with --chaos",
	} {
		if r := command(t, "", append([]string{"demo", "--yes"}, strings.Fields(line)...)...); r.code == 0 || !strings.Contains(r.err, want) || r.out != "" {
			t.Errorf("%s: %+v, want %q", line, r, want)
		}
	}
}

// A demo spends what it may spend in all its runs together, and no more.
func TestDemoBudget(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	srv := keyed(t)
	t.Setenv("ANTHROPIC_API_KEY", "right")
	dir := t.TempDir()
	for i := range 6 { // of about 60,000 tokens each, twice
		text := "Invoice no. " + itoa(i) + "\n" + strings.Repeat("Tea and other things that nobody has asked for\n", 5000) + "Total 20.00 EUR\n"
		if err := os.WriteFile(filepath.Join(dir, itoa(i)+".txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := command(t, "", "demo", "--yes", "--documents", dir)
	if r.code != 0 || !strings.Contains(r.out, "a quota is used up: waits for a person") || !strings.Contains(r.out, "What is not done waits in") {
		t.Errorf("%d\n%s%s", r.code, r.out, r.err)
	}
	if l := srv.Ledger(); l.Usage.Total() > 200_000 || l.Paid < 2 {
		t.Errorf("%+v", l)
	}
}

// trigger does something when a text is written.
type trigger struct {
	text strings.Builder
	at   string
	do   func()
}

func (w *trigger) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.at) {
		w.do()
	}
	return w.text.Write(b)
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// Five processes are killed; the judge must find all results, and a reason for each body.
func TestAI31_Chaos(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv(asCommand, "1")
	r := command(t, "", "demo", "--chaos", "--cycles", "5", "--every", "300ms", "--json")
	if r.code != 0 || r.err != "" {
		t.Fatalf("%+v", r)
	}
	var v struct {
		Runs, Kills, Bodies, Steps int
		Compared                   int `json:"results_compared"`
		Lost, Unexplained          []string
		Model                      struct {
			Paid, Recorded, Broken, Twice, Replayed, Refused int
			CutOff                                           int `json:"cut_off"`
			PossiblyPaid                                     int `json:"possibly_paid"`
		}
	}
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	if m := v.Model; m.Twice != 0 || m.Recorded < 45 || m.Paid != m.Recorded+m.Broken+m.CutOff || m.CutOff > m.PossiblyPaid || m.Replayed == 0 || m.Refused == 0 {
		t.Errorf("the model was paid: %+v", m)
	}
	if v.Kills < 5 || v.Runs < len(samples.All()) || v.Compared != v.Runs || v.Bodies <= v.Steps || len(v.Lost)+len(v.Unexplained) != 0 {
		t.Errorf("%s", r.out)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("it left %v %v", list, err)
	}
}
