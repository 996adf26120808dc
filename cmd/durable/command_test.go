package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

var update = flag.Bool("update", false, "record the golden files anew")

// asCommand makes the test binary be the command: workers are processes of their own.
const asCommand = "DURABLE_TEST_COMMAND"

func TestMain(m *testing.M) {
	for name, value := range map[string]string{ // the demo finds no model but the offline one
		"AI_MODEL_SMART": "", "ANTHROPIC_API_KEY": "", "OPENAI_API_KEY": "", "GOOGLE_API_KEY": "", "GEMINI_API_KEY": "", "OLLAMA_HOST": "127.0.0.1:1",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// result is what a command line came to.
type result struct {
	code     int
	out, err string
}

func command(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(stdin), out: &out, err: &errs, env: func(string) string { return "" }, now: make(chan struct{})}
	code := a.run(t.Context(), args)
	return result{code, out.String(), errs.String()}
}

// nasty is what data may hold to steer a terminal.
const nasty = "\x1b[2J\x1b]0;owned\a\u009b31m\u202e\x7f\b"

// order is the state of the fixture's runs.
type order struct {
	Customer string `json:"customer"`
	Way      string `json:"way"`
	Shipped  bool   `json:"shipped,omitempty"`
}

// form is what the fixture asks people for.
type orderForm struct {
	Address string `json:"address"`
	Parcels int    `json:"parcels"`
	Note    string `json:"note,omitempty"`
}

func handle(ctx context.Context, o *order) error {
	durable.Logger(ctx).Info("handling"+nasty, "customer", o.Customer+nasty)
	switch o.Way {
	case "ship":
		o.Shipped = true
		return nil
	case "approve":
		_, err := durable.WaitForApproval(ctx, "release", durable.Prompt("Release the order of "+o.Customer+nasty+"?"))
		return err
	case "address":
		_, err := durable.WaitForInput[orderForm](ctx, "address", durable.Prompt("Where to?"),
			durable.Details(map[string]string{"customer": o.Customer + nasty}), durable.Timeout(48*time.Hour))
		return err
	case "payment":
		_, err := durable.WaitForEvent[any](ctx, "paid")
		return err
	}
	return errors.New("no way " + o.Way + nasty)
}

// fixture is a database with one run of each kind, which nobody works on any more.
type fixture struct {
	db   string
	runs map[string]durable.ID
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{db: filepath.Join(t.TempDir(), "orders.db"), runs: make(map[string]durable.ID)}
	w := durable.Define("orders", durable.Step("handle", handle))
	e, err := durable.Open(t.Context(), sqlite.Open(f.db), durable.Config{
		Workflows: []durable.Definition{w}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(t.Context()) }()
	for _, way := range []string{"ship", "burn", "approve", "address", "payment"} {
		r, err := w.Start(t.Context(), e, order{Customer: "Ada" + nasty, Way: way}, durable.Key("order-"+way), durable.Tags("shop", way))
		if err != nil {
			t.Fatal(err)
		}
		f.runs[way] = r.ID
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, way := range []string{"ship", "burn", "approve", "address", "payment"} {
		want := map[string]durable.Status{"ship": durable.Completed, "burn": durable.Failed}[way]
		if want == "" {
			want = durable.Waiting
		}
		for range tick.C {
			x, err := e.Execution(t.Context(), f.runs[way])
			if err != nil {
				t.Fatal(err)
			}
			if x.Status == want {
				break
			}
			if x.Status.Ended() {
				t.Fatalf("%s is %s", way, x.Status)
			}
		}
	}
	if err := errors.Join(e.Close(), <-running); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) id(way string) string { return f.runs[way].String() }

func (f *fixture) wait(t *testing.T, way string) string {
	t.Helper()
	r := command(t, "", "inbox", "show", f.id(way), "--db", f.db, "--json")
	return regexp.MustCompile(`w_[0-9a-f]{20}`).FindString(r.out)
}

func TestCL1_ExitCodes(t *testing.T) {
	f := newFixture(t)
	junk := filepath.Join(t.TempDir(), "junk.db")
	if err := os.WriteFile(junk, bytes.Repeat([]byte("not a database. "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	unused := durable.ID{1}.String()
	for _, c := range []struct {
		args string // FIELDS are replaced
		code int
		says string // part of what it says, on stderr if the code is not 0
	}{
		{"", 0, "Available Commands"},
		{"version", 0, "durable "},
		{"list", 0, "orders"},
		{"list --status failed --status completed", 0, "order-burn"},
		{"list --status nonsense", 2, "the statuses are pending,"},
		{"list --since yesterday", 2, "90m, 12h or 7d"},
		{"list --since 1d --workflow orders --queue default --tag shop --tag ship --key order-ship", 0, "completed"},
		{"list --since 0s", 0, "No runs."},
		{"list --limit 0", 2, "--limit"},
		{"list --limit 2", 0, "2 of 5"},
		{"list --cursor nonsense", 2, "cursor"},
		{"list extra", 2, "extra"},
		{"nonsense", 2, "unknown command"},
		{"list --nonsense", 2, "unknown flag"},
		{"inbox", 2, "list, show, answer"},
		{"inbox nonsense", 2, "unknown command"},
		{"show", 2, "accepts 1 arg"},
		{"show SHIP", 0, "handle"},
		{"show " + unused, 3, "not found"},
		{"show 00000000", 3, "begins with 00000000"},
		{"show zzz", 2, "not the id of a run"},
		{"show 0", 4, "5 runs have an id that begins with 0"},
		{"logs SHIP", 0, "handling"},
		{"logs " + unused, 3, "not found"},
		{"event PAYMENT paid 7 --id e1", 0, "Sent paid"},
		{"event PAYMENT paid 7 --id e1", 0, "Sent paid"},
		{"event PAYMENT paid {oops", 2, "not JSON"},
		{"event PAYMENT paid 1 --file x", 2, "not both"},
		{"event PAYMENT paid --file /nonexistent", 3, "no such file"},
		{"event SHIP paid", 4, "it is completed"},
		{"event " + unused + " paid", 3, "not found"},
		{"publish stocked 7 yes --id p1 --keep 1h", 0, "stocked for 7 is kept for the first run that asks"},
		{"publish stocked 7 yes --id p1", 0, "stocked for 7 was published before; is kept"},
		{"publish stocked", 2, "accepts between 2 and 3"},
		{"publish stocked 7 {oops", 2, "not JSON"},
		{"publish stocked 7 1 --file x", 2, "not both"},
		{"publish stocked 7 1 --keep 1s", 2, "Keep(1s)"},
		{"publish stocked 7 1 --keep never", 2, "invalid"},
		{"inbox list", 0, "Where to?"},
		{"inbox list --name release", 0, "Release the order"},
		{"inbox show ADDRESS", 0, "parcels"},
		{"inbox show ADDRESS release", 4, "no such wait"},
		{"inbox show SHIP", 4, "has ended"},
		{"inbox show w_0123", 3, "not found"},
		{"inbox show w_01234567890123456789", 4, "no such wait"},
		{"inbox answer ADDRESS", 2, "give a value"},
		{"inbox answer ADDRESS address {}", 2, "/address: it is missing; /parcels: it is missing"},
		{"inbox list --assignee nobody", 0, "No open questions."},
		{"inbox extend ADDRESS", 2, "give a time from now on"},
		{"inbox extend ADDRESS --by -1h", 2, "give a time from now on"},
		{"inbox extend WAIT --by 3d", 0, "Extended address"},
		{"inbox extend SHIP --by 3d", 4, "has ended"},
		{"inbox cancel SHIP", 4, "has ended"},
		{"inbox cancel ADDRESS nonsense", 4, "no such wait"},
		{"inbox cancel " + unused, 3, "not found"},
		{`inbox answer ADDRESS address {"address":7,"parcels":"two"}`, 2, "/address: got number, want string; /parcels: got string, want integer"},
		{"inbox answer ADDRESS text", 2, "want object"},
		{`inbox answer WAIT {"address":"here","parcels":2}`, 0, "Answered address"},
		{`inbox answer WAIT {"address":"here","parcels":2}`, 4, "no such wait"},
		{"inbox answer APPROVE release true", 0, "Answered release"},
		{"inbox answer APPROVE release true", 4, "no such wait"},
		{"inbox cancel APPROVE --reason late", 4, "no such wait"},
		{"cancel PAYMENT --reason enough", 0, "is cancelled"},
		{"cancel PAYMENT", 0, "is cancelled"},
		{"cancel SHIP", 4, "it is completed"},
		{"cancel " + unused, 3, "not found"},
		{"fork BURN handle", 0, "goes on as run"},
		{"fork BURN", 0, "from its beginning"},
		{"fork BURN handle --key f1", 0, "from handle"},
		{"fork BURN handle --key f1 --state {}", 0, "from handle"},
		{"fork BURN --key f1", 4, "another input"},
		{"fork BURN handle --state text", 2, "the state is not JSON"},
		{"fork BURN handle --state [1]", 2, "is an object"},
		{"fork BURN handle --workflow-version " + strings.Repeat("v", 300), 2, "the version: it is longer"},
		{"fork BURN nowhere", 2, `nothing at "nowhere" has begun in it`},
		{"fork BURN handle --state {oops", 2, "not JSON"},
		{"fork BURN handle --state {} --file x", 2, "not both"},
		{"fork " + unused, 3, "not found"},
		{"rerun BURN", 0, "from handle"},
		{"rerun SHIP", 4, "no step of it has failed"},
		{"diff SHIP BURN", 0, "STATE"},
		{"diff SHIP SHIP", 0, "came to the same"},
		{"diff SHIP", 2, "was not forked"},
		{"cleanup", 2, "--older-than is missing: give an age such as 30d, 12h or 90m"},
		{"cleanup --older-than soon", 2, "give an age such as 30d, 12h or 90m"},
		{"cleanup --older-than 0s", 2, "give an age"},
		{"cleanup --older-than -5m", 2, "give an age"},
		{"cleanup --older-than 30", 2, "give an age"},
		{"cleanup --older-than 30d --status waiting", 2, "their statuses are completed, failed, cancelled"},
		{"cleanup --older-than 30d extra", 2, "extra"},
		{"cleanup --older-than 30d", 0, "Removed 0 runs."},
		{"cleanup --older-than 1ms --workflow other", 0, "Removed 0 runs."},
		{"cleanup --older-than 1ms --status failed --dry-run", 0, "Would remove 1 run."},
		{"cleanup --older-than 1ms --status failed", 0, "Removed 1 run."},
		{"show BURN", 3, "not found"},
		{"show SHIP", 0, "handle"},
		{"demo --workers 2", 2, "goes with --chaos"},
		{"demo --latency -1s", 2, "zero or more"},
		{"demo --chaos --workers 0", 2, "1 to 20"},
		{"demo --chaos --every 1ms", 2, "200ms to 1m"},
		{"demo --chaos --latency 1s", 2, "does not go with"},
		{"demo --documents /nonexistent", 3, "no such file"},
		{"demo --documents EMPTY", 3, "no .txt or .md file"},
		{"list --db " + junk, 4, "not a durable database"},
		{"list --db /nonexistent/x.db", 3, "there is no database"},
	} {
		var args []string
		for _, a := range strings.Fields(c.args) {
			switch a {
			case "SHIP", "BURN", "APPROVE", "ADDRESS", "PAYMENT":
				a = f.id(strings.ToLower(a))
			case "WAIT":
				if a = f.wait(t, "address"); a == "" {
					a = "w_01234567890123456789"
				}
			case "EMPTY":
				a = t.TempDir()
			}
			args = append(args, a)
		}
		plain := map[string]bool{"": true, "version": true, "nonsense": true, "inbox": true, "inbox nonsense": true}
		if !plain[c.args] && args[0] != "demo" && !strings.Contains(c.args, "--db") {
			args = append(args, "--db", f.db)
		}
		r := command(t, "", args...)
		said, silent := r.out, r.err
		if c.code != 0 {
			said, silent = r.err, r.out
		}
		if r.code != c.code || !strings.Contains(said, c.says) || silent != "" {
			t.Errorf("durable %s: exit code %d, want %d with %q\nstdout: %s\nstderr: %s", c.args, r.code, c.code, c.says, r.out, r.err)
		}
	}
}

func TestMissingDatabaseIsNotMade(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{{"list"}, {"show", "01"}, {"inbox", "list"}, {"cancel", "01"}, {"cleanup", "--older-than", "1d"}, {"event", "01", "x"}, {"publish", "x", "y"}, {"logs", "01"}} {
		if r := command(t, "", args...); r.code != 3 || !strings.Contains(r.err, "there is no database durable.db; name it with --db") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if list, err := os.ReadDir("."); err != nil || len(list) != 0 {
		t.Errorf("files were made: %v %v", list, err)
	}
}

func TestCL1_UniquePrefix(t *testing.T) {
	f := newFixture(t)
	id := f.id("ship")
	for n := 1; n <= len(id); n++ {
		matches := 0
		for _, other := range f.runs {
			if strings.HasPrefix(other.String(), id[:n]) {
				matches++
			}
		}
		want := 0
		if matches > 1 {
			want = 4
		}
		r := command(t, "", "show", strings.ToUpper(id[:n]), "--db", f.db, "--json")
		if r.code != want || want == 0 && !strings.Contains(r.out, id) || want == 4 && strings.Count(r.err, "\n  ") != matches {
			t.Errorf("%s with %d matches: %+v", id[:n], matches, r)
		}
	}
	wait := f.wait(t, "address")
	if r := command(t, "", "inbox", "show", wait[:12], "--db", f.db); r.code != 0 || !strings.Contains(r.out, wait) {
		t.Errorf("%+v", r)
	}
}

// Whatever is in the data, none of it steers the terminal.
func TestHostileData(t *testing.T) {
	f := newFixture(t)
	check := func(args ...string) {
		t.Helper()
		r := command(t, "", append(args, "--db", f.db)...)
		if r.out+r.err == "" {
			t.Errorf("%v says nothing", args)
		}
		for _, c := range r.out + r.err {
			if c != '\n' && unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
				t.Errorf("%v: %q comes through:\n%q", args, c, r.out+r.err)
				break
			}
		}
	}
	for _, way := range []string{"ship", "burn", "approve", "address", "payment"} {
		check("show", f.id(way), "--logs")
		check("show", f.id(way), "--logs", "--full")
		check("show", f.id(way), "--logs", "--json")
		check("logs", f.id(way))
	}
	check("list")
	check("list", "--json")
	check("inbox", "list")
	check("inbox", "list", "--json")
	check("inbox", "show", f.id("approve"))
	check("inbox", "show", f.id("address"))
	check("inbox", "answer", f.id("address"), "address", `{"`+"\u009b\u202e"+`":1}`)
	check("show", nasty)
	check("event", f.id("payment"), nasty, "1")
	check("event", f.id("payment"), "late\u202e", "1")
	check("publish", nasty, "k", "1")
	check("publish", "late\u202e", "key\u202e", "1")
	check("list", "--status", nasty)
}

func TestCL1_JSON(t *testing.T) {
	f := newFixture(t)
	for name, args := range map[string][]string{
		"list":           {"list", "--tag", "shop"},
		"list_page":      {"list", "--limit", "1"},
		"list_none":      {"list", "--key", "none"},
		"show_completed": {"show", f.id("ship"), "--logs"},
		"show_failed":    {"show", f.id("burn")},
		"show_waiting":   {"show", f.id("address")},
		"inbox_list":     {"inbox", "list"},
		"inbox_show":     {"inbox", "show", f.id("approve")},
		"logs":           {"logs", f.id("ship")},
	} {
		golden(t, name, command(t, "", append(args, "--json", "--db", f.db)...))
	}
	for _, c := range []struct {
		name string
		args []string
	}{ // these change something, in this order
		{"event", []string{"event", f.id("payment"), "note", "hello", "--id", "n1"}},
		{"inbox_answer", []string{"inbox", "answer", f.id("address"), "address", "--file", "-"}},
		{"cancel", []string{"cancel", f.id("payment")}},
		{"cleanup_dry", []string{"cleanup", "--older-than", "1ms", "--dry-run"}},
		{"cleanup", []string{"cleanup", "--older-than", "1ms", "--workflow", "orders"}},
	} {
		golden(t, c.name, command(t, `{"address":"here","parcels":2}`, append(c.args, "--json", "--db", f.db)...))
	}
}

// CL-3 but for doctor: what is left is what has not ended, whatever the options.
func TestCleanup_TouchesEndedRunsOnly(t *testing.T) {
	f := newFixture(t)
	list := func() string { return command(t, "", "list", "--json", "--db", f.db).out }
	before := list()
	for _, args := range [][]string{{"--older-than", "1h"}, {"--older-than", "1d"}, {"--older-than", "1ms", "--dry-run"}, {"--older-than", "1ms", "--workflow", "x"}} {
		if r := command(t, "", append([]string{"cleanup", "--db", f.db}, args...)...); r.code != 0 || list() != before {
			t.Errorf("%v: %+v\n%s", args, r, list())
		}
	}
	if r := command(t, "", "cleanup", "--db", f.db, "--older-than", "1ms"); r.code != 0 || r.out != "Removed 2 runs.\n" {
		t.Errorf("%+v", r)
	}
	for way, gone := range map[string]bool{"ship": true, "burn": true, "approve": false, "address": false, "payment": false} {
		if r := command(t, "", "show", f.id(way), "--db", f.db); (r.code == 3) != gone || (r.code == 0) == gone {
			t.Errorf("%s: %+v", way, r)
		}
	}
	if r := command(t, "", "list", "--db", f.db, "--json"); !strings.Contains(r.out, `"count": 3`) {
		t.Errorf("%s", r.out)
	}
}

// golden compares with testdata; ids, times and numbers of time are replaced.
func golden(t *testing.T, name string, r result) {
	t.Helper()
	if r.code != 0 || r.err != "" {
		t.Errorf("%s: %+v", name, r)
		return
	}
	got := r.out
	seen := map[string]string{}
	got = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|w_[0-9a-f]{20}`).ReplaceAllStringFunc(got, func(id string) string {
		if seen[id] == "" {
			seen[id] = fmt.Sprintf("ID-%d", len(seen)+1)
		}
		return seen[id]
	})
	got = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*"`).ReplaceAllString(got, `"TIME"`)
	got = regexp.MustCompile(`("duration"|"waited"): \d+`).ReplaceAllString(got, `$1: 0`)
	got = regexp.MustCompile(`"cursor": "[^"]+"`).ReplaceAllString(got, `"cursor": "CURSOR"`)
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant (record it anew with -update):\n%s", name, got, want)
	}
}
