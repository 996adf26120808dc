package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/store"
)

// explained is a pool whose sessions, and those of stores made from it, explain
// each statement that they run: as it was planned for them, with what it did.
type explained struct {
	*pgxpool.Pool
	mu    sync.Mutex
	plans map[string][]plan // by the statement's text
}

// plan is what the server says about one statement that it ran.
type plan struct {
	Text string `json:"Query Text"`
	Top  node   `json:"Plan"`
}

type node struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Cond     string  `json:"Index Cond"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Hit      int     `json:"Shared Hit Blocks"`
	Read     int     `json:"Shared Read Blocks"`
	Plans    []node  `json:"Plans"`
}

const explainAll = `
	load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on; set auto_explain.log_buffers = on;
	set auto_explain.log_timing = off; set auto_explain.log_format = json; set auto_explain.log_level = notice; set client_min_messages = notice`

func explaining(t *testing.T) *explained {
	t.Helper()
	url := os.Getenv("DURABLE_TEST_POSTGRES_URL")
	given := url != ""
	if !given {
		url = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	x := &explained{plans: map[string][]plan{}}
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { x.take(t, n.Message) }
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().Exec(ctx, explainAll).ReadAll()
		return err
	}
	if x.Pool, err = pgxpool.NewWithConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Pool.Close)
	if err := x.Ping(t.Context()); err != nil {
		if given {
			t.Fatal(err)
		}
		t.Skip("SKIPPED: there is no PostgreSQL at 127.0.0.1:5432, and DURABLE_TEST_POSTGRES_URL is not set; scripts/postgres starts one")
	}
	return x
}

func (x *explained) take(t *testing.T, message string) {
	_, text, ok := strings.Cut(message, "plan:\n")
	if !ok {
		return
	}
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Errorf("a plan that cannot be read: %v: %s", err, text)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.plans[p.Text] = append(x.plans[p.Text], p)
}

// heard returns what was explained and forgets it.
func (x *explained) heard() map[string][]plan {
	x.mu.Lock()
	defer x.mu.Unlock()
	plans := x.plans
	x.plans = map[string][]plan{}
	return plans
}

// bounds is how much of the database a statement may touch, whatever has
// finished or sleeps in it.
type bounds struct {
	pages   int // of tables and indexes
	rows    int // found by one index
	removed int // found and then not wanted
}

// usual is enough for eighty executions at once: some pages for each of them in
// the table and in each index.
func usual() bounds { return bounds{pages: 1500, rows: 1000, removed: 200} }

// wider are statements with bounds of their own, with the reason.
func wider() map[string]bounds {
	return map[string]bounds{}
}

// fragments are constants that are no statements of their own.
func fragments() []string {
	return []string{"headerColumns", "listFilters", "landed", "waitRows", "writeSettings", "readSettings", "makeMigration", "beginWrite", "beginRead", "commitTx", "rollbackTx", "isCommitted"}
}

// seldom are statements that a person asks for, or that retention needs now and
// then: TestPlans does not run them, and no run waits for them.
func seldom() []string {
	return []string{
		"pauseColumns", "readPaused", "addPause", "dropPause", "readLeases",
		"isThere", "readAround", "anyExecution", "makePart", "lockToAttach", "attachPart", "dropPart", "lockToDrop", "closedParts", "readEndedParts",
		"endedGroups", "countEnded", "takeEnded", "takeBelow", "lockBelow", "noteOrphans", "nextOrphans", "swept",
		"pruneExecutions", "pruneMessages", "pruneAccepted", "pruneDraws", "pruneChunks", "dropJournals", "dropSnapshots", "dropLogs", "dropBlobs", "dropLoose", "anyLoose",
	}
}

// statements are the constants of this package that hold SQL, by their text.
func statements(t *testing.T, in schema) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range append(names, names...) { // twice, since one may be made of others

		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, x := range v.Values {
					texts[v.Names[i].Name] = written(x, texts)
				}
			}
		}
	}
	found := map[string]string{}
	for name, text := range texts {
		if strings.Contains(text, "durable.") && !slices.Contains(fragments(), name) && !slices.Contains(seldom(), name) {
			found[in.of(text)] = name
		}
	}
	return found
}

// written is the text of a constant that is made of literals and other constants.
func written(x ast.Expr, texts map[string]string) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return text
		}
	case *ast.Ident:
		return texts[x.Name]
	case *ast.BinaryExpr:
		return written(x.X, texts) + written(x.Y, texts)
	}
	return ""
}

// open opens a store in a schema of its own, whose statements are explained.
func (x *explained) open(t *testing.T, what string) *Store {
	t.Helper()
	name := fmt.Sprintf("durable %s %016x", what, rand.Uint64())
	t.Cleanup(func() {
		if _, err := x.Exec(context.Background(), "DROP SCHEMA "+pgx.Identifier{name}.Sanitize()+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	st, err := New(x.Pool, Schema(name)).OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st.(*Store)
}

// No statement reads what has finished or sleeps. Each is run by the store
// itself, with its settings, and the server tells what it touched; first
// before the server knows how large the tables have become, then when it does.
func TestPlans_NothingGrowsWithWhatIsFinishedOrAsleep(t *testing.T) {
	x := explaining(t)
	s := x.open(t, "large")
	began, n := time.Now(), size()
	s.schema.fill(t, x.Config().ConnString(), n)
	t.Logf("%d finished and %d asleep in %s", n, n, time.Since(began).Round(time.Millisecond))
	known := statements(t, s.schema)
	if len(known) < 50 { // seldom ones are not in it
		t.Fatalf("only %d statements were found in the source: the test would pass on nothing", len(known))
	}
	t.Run("planted", func(t *testing.T) { planted(t, s, x) })
	for _, when := range []string{"before the tables are analysed", "after it"} {
		t.Run(when, func(t *testing.T) {
			x.heard()
			work(t, s)
			heard := x.heard()
			for text, name := range known {
				if len(heard[text]) == 0 {
					t.Errorf("nobody has run %s: add it to what this test does", name)
				}
			}
			for text, plans := range heard {
				if name := known[text]; name != "" {
					judge(t, name, plans)
				}
			}
		})
		latency(t, s)
		t.Run("lists "+when, func(t *testing.T) { lists(t, s, x) })
		for _, table := range []string{"execution", "journal", "wait", "message", "accepted", "snapshot", "hold", "log", "blob", "body", "publication", "draw"} {
			if _, err := s.user.Exec(t.Context(), s.schema.of("VACUUM (ANALYZE) durable."+table)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// judge looks at what a statement did each time.
func judge(t *testing.T, name string, plans []plan) {
	t.Helper()
	limit, there := wider()[name]
	if !there {
		limit = usual()
	}
	complaints := map[string]int{}
	pages := 0
	for _, p := range plans {
		pages = max(pages, p.Top.Hit+p.Top.Read)
		for _, c := range p.Top.faults(limit) {
			complaints[c]++
		}
	}
	if pages > limit.pages {
		complaints[fmt.Sprintf("%d pages", pages)]++
	}
	t.Logf("%-16s %5d pages at most in %d plans", name, pages, len(plans))
	for _, c := range slices.Sorted(maps.Keys(complaints)) {
		t.Errorf("%s: %s (%d of %d plans)", name, c, complaints[c], len(plans))
	}
}

// faults lists what is wrong in a plan, from a node downwards.
func (n *node) faults(limit bounds) (list []string) {
	at := fmt.Sprintf("%s on %s %s", n.Type, n.Relation, n.Index)
	narrow := n.Relation == "lease" || n.Relation == "part" || n.Relation == "pause" // a row per worker, month, paused queue
	switch {
	case n.Type == "Seq Scan" && !narrow:
		list = append(list, at)
	case strings.Contains(n.Type, "Index") && n.Cond == "" && !narrow:
		list = append(list, at+" without a condition")
	}
	if rows := int(n.Rows * n.Loops); rows > limit.rows && strings.Contains(n.Type, "Index") {
		list = append(list, fmt.Sprintf("%s finds %d rows", at, rows))
	}
	// What a function gives is no table: the settings of the server, asked for at open.
	if removed := int(n.Removed * max(n.Loops, 1)); removed > limit.removed && n.Type != "Function Scan" {
		list = append(list, fmt.Sprintf("%s looks at %d rows in vain", at, removed))
	}
	for i := range n.Plans {
		list = append(list, n.Plans[i].faults(limit)...)
	}
	return list
}

// planted shows that what reads too much is seen.
func planted(t *testing.T, s *Store, x *explained) {
	for what, statement := range map[string]string{
		"the table, whole":          `SELECT count(*) FROM durable.wait WHERE detail = '1'`,
		"all that sleeps":           `SELECT count(*) FROM durable.execution WHERE due IS NOT NULL AND queue = 'default' AND due > now()`,
		"all of a workflow":         `SELECT id FROM durable.execution WHERE workflow = 'flow' AND error_code = 'none' ORDER BY id LIMIT 1`,
		"an index without a bound":  `SELECT max(epoch) FROM (SELECT epoch FROM durable.execution ORDER BY id OFFSET 2000 LIMIT 1) AS x`,
		"what holds of all of them": `SELECT id FROM durable.execution e WHERE e.id IN (SELECT execution FROM durable.hold)`,
	} {
		x.heard()
		if _, err := s.write.Exec(t.Context(), s.schema.of(statement)); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, plans := range x.heard() {
			for _, p := range plans {
				seen += len(p.Top.faults(usual()))
			}
		}
		if seen == 0 {
			t.Errorf("nobody complains of %s: %s", what, statement)
		}
	}
}

// latency reports how long the claims of an idle worker take.
func latency(t *testing.T, s *Store) {
	w := newWorker(t, s)
	times := make([]time.Duration, 300)
	for i := range times {
		began := time.Now()
		w.claim("now", atOnce)
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	t.Logf("a claim that finds nothing: p50 %s, p99 %s", times[len(times)/2], times[len(times)*99/100])
	w.ok(s.Retire(t.Context(), w.who), "retire")
}

// lists asks with each filter alone. Those that need no index of their own are
// found by one, or are said in docs/operating.md to go through the newest first.
func lists(t *testing.T, s *Store, x *explained) {
	v := "v1"
	for name, filter := range map[string]store.Filter{
		"none": {}, "Workflow": {Workflow: "other"}, "IDPrefix": {IDPrefix: "01"}, "Workflow and Key": {Workflow: "flow", Key: "key 11"},
		"Version": {Version: &v}, "Queue": {Queue: "default"}, // those that nearly all have
		"failed": {Statuses: []store.Status{store.Failed}}, "blocked": {Statuses: []store.Status{store.Blocked}},
		"waiting": {Statuses: []store.Status{store.Waiting}}, "running": {Statuses: []store.Status{store.Running}},
		"ErrorCode of failed": {Statuses: []store.Status{store.Failed}, ErrorCode: "error"},
	} {
		_, err := s.List(t.Context(), filter)
		for _, plans := range x.heard() {
			judge(t, "list by "+name, plans)
		}
		if err != nil {
			t.Errorf("list by %s: %v", name, err)
		}
	}
	for name, filter := range map[string]store.WaitFilter{
		"none": {}, "ID": {ID: "w_x"}, "Execution": {Execution: uuid.Must(uuid.NewV7())}, "one kind": {Kinds: []string{"sleep"}},
		"kinds": {Kinds: []string{"approval", "input", "in_doubt"}}, "Name and kinds": {Kinds: []string{"approval", "input"}, Name: "nobody"},
		"Workflow and kinds": {Kinds: []string{"approval", "input"}, Workflow: "nobody"},
	} {
		page, err := s.Waits(t.Context(), filter)
		for _, plans := range x.heard() {
			judge(t, "waits by "+name, plans)
		}
		if name == "one kind" {
			filter.Cursor = page.Cursor
			_, err = s.Waits(t.Context(), filter)
			for _, plans := range x.heard() {
				judge(t, "waits, second page", plans)
			}
		}
		if err != nil {
			t.Errorf("waits by %s: %v", name, err)
		}
	}
}
