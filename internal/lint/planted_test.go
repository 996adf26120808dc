package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/lint"
)

// planted is one file and the rules that must find something in it; none
// means that it is fine as it is.
type planted struct {
	name, path, text string
	rules            []string
}

func TestPlanted(t *testing.T) {
	const (
		arrow, pure, vars, sleep, verdict, sql, open = "arrow", "pure", "var", "sleep", "verdict", "sql", "open"
		doc, mark, long, excuse                      = "doc", "mark", "long", "excuse"
	)
	cases := []planted{
		// arrows
		{"unknown package", "internal/helper/a.go", "// Package helper is new.\npackage helper", []string{arrow}},
		{"core imports upwards", "internal/tree/a.go", importing("tree", "github.com/durable-go/durable/internal/plan"), []string{arrow}},
		{"core imports the root", "internal/run/a.go", importing("run", "github.com/durable-go/durable"), []string{arrow}},
		{"core imports downwards", "internal/plan/a.go", importing("plan", "github.com/durable-go/durable/internal/tree"), nil},
		{"store knows the engine", "store/a.go", importing("store", "github.com/durable-go/durable/internal/journal"), []string{arrow}},
		{"database knows the engine", "store/sqlite/a.go", importing("sqlite", "github.com/durable-go/durable/internal/plan"), []string{arrow}},
		{"database knows another", "store/sqlite/a.go", importing("sqlite", "github.com/durable-go/durable/store/memory"), []string{arrow}},
		{"database has its driver", "store/sqlite/a.go", importing("sqlite", "modernc.org/sqlite"), nil},
		{"root imports a driver", "a.go", importing("durable", "modernc.org/sqlite"), []string{arrow}},
		{"root imports a test library", "a.go", importing("durable", "github.com/google/go-cmp/cmp"), []string{arrow}},
		{"root imports testing", "a.go", importing("durable", "testing"), []string{arrow}},
		{"root in its test may", "a_test.go", importing("durable", "modernc.org/sqlite"), nil},
		{"dashboard has no private door", "dashboard/a.go", importing("dashboard", "github.com/durable-go/durable/internal/run"), []string{arrow}},
		{"command imports a driver", "cmd/durable/a.go", importing("main", "github.com/jackc/pgx/v5/pgxpool"), []string{arrow}},
		{"command imports what it needs", "cmd/durable/a.go", importing("main", "github.com/spf13/cobra"), nil},
		{"example looks inside", "examples/hello/a.go", importing("main", "github.com/durable-go/durable/internal/tree"), []string{arrow}},
		{"excused arrow", "store/a.go", "// Package store is here.\npackage store\n\nimport _ \"github.com/x/y\" // lint:arrow until y lands\n", nil},

		// pure packages
		{"pure with context", "internal/plan/a.go", importing("plan", "context"), []string{pure}},
		{"pure with sub-package", "internal/journal/a.go", importing("journal", "net/http"), []string{pure}},
		{"pure with chance", "internal/tree/a.go", importing("tree", "math/rand/v2"), []string{pure}},
		{"pure asks the clock", "internal/plan/a.go", "// Package plan is here.\npackage plan\n\nimport \"time\"\n\nfunc f() time.Time { return time.Now() }\n", []string{pure}},
		{"pure asks by another name", "internal/cron/a.go", "// Package cron is here.\npackage cron\n\nimport t \"time\"\n\nfunc f() any { return t.Since }\n", []string{pure}},
		{"pure starts a goroutine", "internal/plan/a.go", "// Package plan is here.\npackage plan\n\nfunc f() { go f() }\n", []string{pure}},
		{"pure uses durations", "internal/plan/a.go", "// Package plan is here.\npackage plan\n\nimport \"time\"\n\nconst d = time.Second\n", nil},
		{"its test may", "internal/plan/a_test.go", importing("plan", "context"), nil},

		// package variables
		{"variable", "internal/run/a.go", "// Package run is here.\npackage run\n\nvar count int\n", []string{vars}},
		{"variable in a group", "internal/run/a.go", "// Package run is here.\npackage run\n\nimport \"errors\"\n\nvar (\n\terrA = errors.New(\"a\")\n\tcache = map[string]int{}\n)\n", []string{vars}},
		{"error by a function", "internal/run/a.go", "// Package run is here.\npackage run\n\nvar errA = f()\n", []string{vars}},
		{"errors", "internal/run/a.go", "// Package run is here.\npackage run\n\nimport (\n\t\"errors\"\n\t\"fmt\"\n)\n\nvar errA, errB = errors.New(\"a\"), fmt.Errorf(\"b\")\n", nil},
		{"error of another package", "internal/run/a.go", "// Package run is here.\npackage run\n\nimport \"io\"\n\nvar errA = io.ErrNoProgress\n", nil},
		{"variable that is an error", "internal/run/a.go", "// Package run is here.\npackage run\n\nvar errA error = e{}\n", nil},
		{"embedded", "internal/run/a.go", "// Package run is here.\npackage run\n\nimport \"embed\"\n\n//go:embed x\nvar files embed.FS\n", nil},
		{"assertion", "internal/run/a.go", "// Package run is here.\npackage run\n\nvar _ error = e{}\n", nil},
		{"excused variable", "internal/run/a.go", "// Package run is here.\npackage run\n\n// table is read by all.\n// lint:var compiled once\nvar table = f()\n", nil},
		{"variable in an example", "examples/hello/a.go", "// Package hello is here.\npackage hello\n\nvar Hello = f()\n", nil},

		// tests
		{"sleep", "internal/run/a_test.go", "package run\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", []string{sleep}},
		{"sleep as a value", "store/storetest/a.go", "// Package storetest is here.\npackage storetest\n\nimport \"time\"\n\nvar _ = time.Sleep\n", []string{sleep}},
		{"sleep outside tests", "internal/run/a.go", "// Package run is here.\npackage run\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", nil},
		{"either end will do", "internal/run/a_test.go", "package run\n\n// the run is Completed" + " or failed\n", []string{verdict}},

		// stores
		{"SQL with +", "store/sqlite/a.go", inSQLite(`func f(s string) string { return "SELECT a FROM " + s }`), []string{sql}},
		{"SQL with + later", "store/sqlite/a.go", inSQLite(`func f(s string) string { return ("delete from run " + "where id = '") + s + "'" }`), []string{sql}},
		{"SQL with a constant's help", "store/sqlite/a.go", inSQLite("const head = `\n\tselect a`\nfunc f(s string) string { return head + s }"), []string{sql}},
		{"SQL with +=", "store/sqlite/a.go", inSQLite(`func f(q, s string) { q += " where id = " + s }`), []string{sql}},
		{"SQL with Sprintf", "store/sqlite/a.go", inSQLite("import \"fmt\"\nfunc f(s string) string { return fmt.Sprintf(`update %s set x = 1`, s) }"), []string{sql}},
		{"SQL with Join", "store/sqlite/a.go", inSQLite("import \"strings\"\nfunc f(s string) string { return strings.Join([]string{s}, s) + strings.Replace(\"with x as (y)\", s, s, 1) }"), []string{sql}},
		{"SQL in a builder", "store/postgres/a.go", "// Package postgres is here.\npackage postgres\n\nfunc f(b *B) { b.WriteString(`insert into t `) }\n", []string{sql}},
		{"SQL of constants", "store/sqlite/a.go", inSQLite("const cols = \"a, b\"\nfunc f() string { return \"select \" + cols + \" from t\" }"), nil},
		{"an error about SQL", "store/sqlite/a.go", inSQLite("import \"fmt\"\nfunc f(e error) error { return fmt.Errorf(\"update row: %w\", e) }"), nil},
		{"excused SQL", "store/sqlite/a.go", inSQLite("func f(s string) string {\n\t// lint:sql s is from a closed list\n\treturn \"select \" + s\n}"), nil},
		{"opened file", "store/sqlite/a.go", inSQLite("import \"os\"\nfunc f() { os.Open(\"x.db\") }"), []string{open}},
		{"read file", "store/sqlite/a.go", inSQLite("import \"os\"\nfunc f() { os.ReadFile(\"x.db\") }"), []string{open}},
		{"asked about a file", "store/sqlite/a.go", inSQLite("import \"os\"\nfunc f() { os.Stat(\"x.db\") }"), nil},

		// comments
		{"package without", "internal/run/a.go", "package run\n", []string{doc}},
		{"function without", "a.go", "// Package durable is here.\npackage durable\n\nfunc Open() {}\n", []string{doc}},
		{"method without", "a.go", "// Package durable is here.\npackage durable\n\n// T is here.\ntype T[S any] struct{}\n\nfunc (t *T[S]) Open() {}\n", []string{doc}},
		{"type without", "a.go", "// Package durable is here.\npackage durable\n\ntype T int\n", []string{doc}},
		{"constant without", "a.go", "// Package durable is here.\npackage durable\n\nconst C = 1\n", []string{doc}},
		{"known method without", "a.go", "// Package durable is here.\npackage durable\n\n// T is here.\ntype T int\n\nfunc (T) Error() string { return \"\" }\n", nil},
		{"method of an interface without", "a.go", "// Package durable is here.\npackage durable\n\n// T is here.\ntype T interface {\n\t// A is here.\n\tA()\n\n\tB()\n}\n", []string{doc}},
		{"hidden things without", "a.go", "// Package durable is here.\npackage durable\n\ntype t int\n\nfunc (t) Open() {}\n", nil},
		{"internal without", "internal/run/a.go", "// Package run is here.\npackage run\n\nfunc Open() {}\n", nil},
		{"group with one comment", "a.go", "// Package durable is here.\npackage durable\n\n// Some.\nconst (\n\tA = 1\n\tB = 2\n)\n", nil},
		{"bare mark", "internal/run/a.go", "// Package run is here.\npackage run\n\n// TO" + "DO: more\n", []string{mark}},
		{"mark with a reason", "internal/run/a.go", "// Package run is here.\npackage run\n\n// TO" + "DO(waits for leases): more\n", nil},
		{"long file", "internal/run/a.go", "// Package run is here.\npackage run\n" + strings.Repeat("\n", 500), []string{long}},
		{"excused long file", "internal/run/a.go", "// Package run is here.\npackage run\n\n// lint:long one table\n" + strings.Repeat("\n", 500), nil},
		{"long test", "internal/run/a_test.go", "package run\n" + strings.Repeat("\n", 500), nil},

		// excuses
		{"excuse without a reason", "internal/run/a.go", "// Package run is here.\npackage run\n\n// lint:var\nvar count int\n", []string{vars, excuse}},
		{"excuse for nothing", "internal/run/a.go", "// Package run is here.\npackage run\n\n// lint:var old\nconst count = 1\n", []string{excuse}},
		{"excuse from no rule", "internal/run/a.go", "// Package run is here.\npackage run\n\n// lint:naps are nice\n", []string{excuse}},
		{"excuse on the line before", "internal/run/a.go", "// Package run is here.\npackage run\n\nvar a = f() // lint:var once\nvar b = f()\n", []string{vars}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src, err := lint.Parse(map[string]string{c.path: c.text})
			if err != nil {
				t.Fatal(err)
			}
			found := lint.Check(src)
			var rules []string
			for _, f := range found {
				if !slices.Contains(rules, f.Rule) {
					rules = append(rules, f.Rule)
				}
			}
			slices.Sort(rules)
			slices.Sort(c.rules)
			if !slices.Equal(rules, c.rules) {
				t.Errorf("found %v, want rules %v", found, c.rules)
			}
		})
	}
}

func importing(pkg, imported string) string {
	return "// Package " + pkg + " is here.\npackage " + pkg + "\n\nimport _ \"" + imported + "\"\n"
}

func inSQLite(code string) string {
	return "// Package sqlite is here.\npackage sqlite\n\n" + code + "\n"
}

func TestPlantedModules(t *testing.T) {
	const gomod = "module m\n\ngo 1.26\n\nrequire a.org/x v1.2.0\n\nrequire (\n\tb.org/y/v2 v2.0.0 // indirect\n)\n"
	const table = "## The library\n\n| module | version | why |\n| --- | --- | --- |\n| `a.org/x` | v1.2.0 | x |\n| `b.org/y/v2` | by x |\n\n## Tools\n\n| `c.org/z` | v0.1.0 |\n"
	cases := []struct{ name, gomod, table, want string }{
		{"in step", gomod, table, ""},
		{"new module", gomod + "require d.org/new v0.0.1\n", table, "d.org/new v0.0.1 is required but has no row"},
		{"old row", gomod, strings.Replace(table, "## Tools", "| `e.org/old` | v1.0.0 |\n\n## Tools", 1), "e.org/old has a row"},
		{"another version", strings.Replace(gomod, "v1.2.0", "v1.3.0", 1), table, "says v1.2.0, go.mod v1.3.0"},
		{"replace", gomod + "replace a.org/x => ../x\n", table, "does nothing for those who import"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			modules, tools := lint.Documented(c.table)
			if len(tools) != 1 || tools[0].Module != "c.org/z" {
				t.Errorf("tools are %v", tools)
			}
			one(t, lint.CheckModules(c.gomod, modules), c.want)
		})
	}
}

func TestPlantedBudgets(t *testing.T) {
	b := lint.Budget{What: "it", Most: 2, Never: []string{"n.org/n"}}
	one(t, b.Check(lint.Module+"\na.org/a\na.org/a\nb.org/b\n"), "")
	one(t, b.Check("a.org/a\nb.org/b\nc.org/c\n"), "more than its budget of 2")
	one(t, b.Check("a.org/a\nn.org/n\n"), "n.org/n")
}

func TestPlantedBehaviours(t *testing.T) {
	const tests = `package run

func TestBR3_CrashInsideCase(t *testing.T) {}
func TestSL1_EV7_Both(t *testing.T) {
	t.Run("DO-2 third call", f)
	t.Run(name, f)
	for _, c := range []struct{ name string }{{name: "DO-3: errors"}, {"DO-4 again"}} {}
	_ = []string{"DO-9"}
}
func TestHelper(t *testing.T) {}
`
	src, err := lint.Parse(map[string]string{
		"internal/run/a_test.go":   tests,
		"internal/run/a.go":        "package run\n\nfunc TestDO7_NotInATest() {}\n",
		"store/storetest/cases.go": "package storetest\n\nvar _ = map[string]func(){\"QU-5 fence\": nil}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	cited := lint.Cited(src)
	for _, id := range []string{"BR-3", "SL-1", "EV-7", "DO-2", "DO-3", "DO-4", "QU-5"} {
		if _, ok := cited[id]; !ok {
			t.Errorf("%s was not found in %v", id, cited)
		}
	}
	if len(cited) != 7 {
		t.Errorf("cited are %v, want 7", cited)
	}

	one(t, lint.CheckBehaviours([]string{"A", "B"}, []string{"B"}, map[string]string{"A": "x"}), "")
	one(t, lint.CheckBehaviours([]string{"A"}, nil, nil), "has no test")
	one(t, lint.CheckBehaviours([]string{"A"}, []string{"A"}, map[string]string{"A": "x"}), "still pending")
	one(t, lint.CheckBehaviours(nil, []string{"A"}, nil), "not in testdata/behaviours.txt")
	one(t, lint.CheckBehaviours(nil, nil, map[string]string{"A": "x"}), "cited (x) but is not")

	if got := lint.Shrink("# kept\nBR-3\nBR-4 why\n", cited); got != "# kept\nBR-4 why\n" {
		t.Errorf("shrunk to %q", got)
	}
	for _, bad := range []string{"br-3 x", "BR-3 x\nBR-3 y", "BR-03 x"} {
		if list, err := lint.IDs(bad); err == nil {
			t.Errorf("%q was read as %v", bad, list)
		}
	}
}

// one wants exactly one complaint that contains a text, or none for "".
func one(t *testing.T, wrong []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(wrong) > 0:
		t.Errorf("found %q, want nothing", wrong)
	case want != "" && (len(wrong) != 1 || !strings.Contains(wrong[0], want)):
		t.Errorf("found %q, want one that says %q", wrong, want)
	}
}
