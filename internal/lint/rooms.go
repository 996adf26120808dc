package lint

import (
	"go/ast"
	"slices"
	"strings"
)

// room is a package, and what it may import outside its tests.
type room struct {
	// dir is the folder; a trailing "/..." means that and all below.
	dir string
	// ours are the packages of this module, written the same way.
	ours []string
	// third are modules of others; "*" is any but a driver.
	third []string
}

// rooms draws the import lattice. Arrows point downwards:
//
//	cmd  dashboard  ai  durabletest  examples
//	                 durable
//	               internal/run
//	        internal/plan      store  <- store/sqlite, store/postgres, store/memory
//	       internal/journal
//	         internal/tree
//
// A package that is not in here may not exist: say first what it may know.
func rooms() []room {
	const (
		uuid     = "github.com/google/uuid"
		sqlite   = "modernc.org/sqlite"
		postgres = "github.com/jackc/pgx/v5"
		gocmp    = "github.com/google/go-cmp"
		infer    = "github.com/google/jsonschema-go"
		validate = "github.com/santhosh-tekuri/jsonschema/v6"
	)
	return []room{
		// What it is made of. The pure core, then the contract with databases.
		{dir: "internal/tree"},
		{dir: "internal/journal", ours: []string{"internal/tree"}},
		{dir: "internal/plan", ours: []string{"internal/journal", "internal/tree"}},
		{dir: "internal/cron"},
		{dir: "internal/diff"},
		{dir: "internal/printable"},
		{dir: "internal/schema", third: []string{infer, validate, "golang.org/x/text"}},
		{dir: "store", third: []string{uuid}},
		{dir: "internal/fail"},
		{dir: "internal/run", ours: []string{"internal/plan", "internal/journal", "internal/tree", "store", "internal/fail"}, third: []string{uuid}},

		// Databases know the contract and their driver, and nothing of the engine.
		{dir: "store/memory", ours: []string{"store", "internal/fail"}, third: []string{uuid}},
		{dir: "store/sqlite", ours: []string{"store", "internal/fail"}, third: []string{uuid, sqlite}},
		{dir: "store/postgres", ours: []string{"store", "internal/fail"}, third: []string{uuid, postgres}},
		{dir: "store/storetest", ours: []string{"store"}, third: []string{uuid, gocmp, "testing"}},

		// What users see. The root imports no driver and has no private friends.
		{dir: "", ours: []string{"internal/run", "internal/plan", "internal/journal", "internal/tree", "internal/cron", "internal/schema", "internal/fail", "store"}, third: []string{uuid}},
		{dir: "internal/line", ours: []string{"store"}},
		{dir: "durabletest", ours: []string{"", "store", "store/memory", "internal/line"}, third: []string{"testing"}},
		{dir: "ai/model"},
		{dir: "ai/internal/wire", ours: []string{"ai/model"}},
		{dir: "ai/anthropic", ours: []string{"ai/model", "ai/internal/wire"}},
		{dir: "ai/openai", ours: []string{"ai/model", "ai/internal/wire"}},
		{dir: "ai/gemini", ours: []string{"ai/model", "ai/internal/wire"}},
		{dir: "ai/offline", ours: []string{"ai/model"}},
		{dir: "ai", ours: []string{"", "ai/model", "ai/internal/wire", "ai/anthropic", "ai/openai", "ai/gemini", "ai/offline", "internal/schema"}},
		{dir: "ai/aitest", ours: []string{"", "ai", "ai/model", "ai/internal/wire", "ai/offline", "internal/diff", "internal/printable"}, third: []string{"testing"}},
		{dir: "dashboard", ours: []string{""}, third: []string{"*"}},
		{dir: "examples/...", ours: []string{"", "ai", "ai/...", "durabletest", "examples/...", "store/memory", "store/sqlite", "store/postgres"}},
		{dir: "cmd/...", ours: []string{"", "ai", "ai/...", "cmd/...", "dashboard", "examples/...", "internal/diff", "internal/printable", "store", "store/memory", "store/sqlite", "store/postgres"}, third: []string{"*"}},

		// What the guides show, compiled and run.
		{dir: "docs/...", ours: []string{"", "ai", "ai/...", "durabletest", "store", "store/memory", "store/sqlite"}},

		// What tries to break it.
		{
			dir:   "internal/sim",
			ours:  []string{"internal/run", "internal/plan", "internal/journal", "internal/tree", "internal/fail", "store", "store/memory"},
			third: []string{uuid},
		},
		{
			dir:   "internal/crash",
			ours:  []string{"", "ai", "ai/offline", "internal/fail", "examples/...", "store", "store/memory", "store/sqlite", "store/postgres"},
			third: []string{uuid},
		},

		// Servers, and a proxy before one, for tests.
		{dir: "internal/pgtest"},
		{dir: "internal/pgproxy"},
		{dir: "internal/faults"},

		// What keeps the house in order.
		{dir: "internal/lint"},
		{dir: "internal/gotest"},
	}
}

// match says whether a pattern such as "examples/..." means a folder.
func match(pattern, dir string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return below(dir, parent)
	}
	return pattern == dir
}

func roomOf(dir string) (room, bool) {
	all := rooms()
	i := slices.IndexFunc(all, func(r room) bool { return match(r.dir, dir) })
	if i < 0 {
		return room{}, false
	}
	return all[i], true
}

func (r room) allows(dir string) bool {
	return slices.ContainsFunc(r.ours, func(p string) bool { return match(p, dir) })
}

func (r room) allowsThird(imported string) bool {
	named := slices.ContainsFunc(r.third, func(m string) bool { return below(imported, m) })
	return named || slices.Contains(r.third, "*") && !driver(imported)
}

// driver says whether an import talks to a database: only its store may.
func driver(imported string) bool {
	return below(imported, "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/ncruces/go-sqlite3", "github.com/mattn/go-sqlite3", "github.com/lib/pq")
}

func checkArrows(src *Source, report report) {
	for _, f := range src.Files {
		r, ok := roomOf(f.Dir)
		if !ok {
			report(f, "arrow", "package "+name(f.Dir)+" is not in the table of rooms (internal/lint/rooms.go): add it with what it may import", f.line(f.AST.Name.Pos()))
			continue
		}
		if f.Test {
			continue
		}
		f.imports(func(spec *ast.ImportSpec, imported string) {
			line := f.line(spec.Pos())
			ours := imported == Module || strings.HasPrefix(imported, Module+"/")
			first, _, _ := strings.Cut(imported, "/")
			third := strings.Contains(first, ".") || imported == "testing"
			dir := strings.TrimPrefix(strings.TrimPrefix(imported, Module), "/")
			switch {
			case ours && dir != f.Dir && !r.allows(dir):
				report(f, "arrow", name(f.Dir)+" may not import "+name(dir)+" (the table in internal/lint/rooms.go says what it may)", line)
			case !ours && third && !r.allowsThird(imported):
				report(f, "arrow", name(f.Dir)+" may not import "+imported+" (the table in internal/lint/rooms.go says what it may)", line)
			}
		})
	}
}

func name(dir string) string {
	if dir == "" {
		return "the root package"
	}
	return dir
}
