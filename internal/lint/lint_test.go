package lint_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/durable-go/durable/internal/lint"
)

const root = "../.."

var update = flag.Bool("update", false, "take the ids that tests cite off testdata/pending.txt")

// repository is parsed once for all tests of this package.
var repository = sync.OnceValues(func() (*lint.Source, error) { return lint.Load(root) })

func load(t *testing.T) *lint.Source {
	t.Helper()
	src, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func fail(t *testing.T, wrong []string) {
	t.Helper()
	for _, w := range wrong {
		t.Error(w)
	}
}

func TestSource(t *testing.T) {
	src := load(t)
	if len(src.Files) < 20 {
		t.Fatalf("only %d files were found: the rules would pass on nothing", len(src.Files))
	}
	for _, f := range lint.Check(src) {
		t.Error(f)
	}
}

func TestModules(t *testing.T) {
	modules, tools := lint.Documented(read(t, "docs/dependencies.md"))
	fail(t, lint.CheckModules(read(t, "go.mod"), modules))
	pinned, _ := lint.Requirements(read(t, "tools/go.mod"))
	for _, tool := range tools {
		if !contains(pinned, tool) {
			t.Errorf("docs/dependencies.md lists the tool %s %s, which tools/go.mod does not pin", tool.Module, tool.Version)
		}
	}
	if len(tools) == 0 {
		t.Error("docs/dependencies.md lists no tools")
	}
}

func contains(list []lint.Requirement, want lint.Requirement) bool {
	for _, r := range list {
		if r == want {
			return true
		}
	}
	return false
}

func TestBudgets(t *testing.T) {
	for _, b := range lint.Budgets() {
		var there []string
		for _, p := range b.Packages {
			if files, _ := filepath.Glob(filepath.Join(root, p, "*.go")); len(files) > 0 {
				there = append(there, p)
			}
		}
		if len(there) == 0 {
			t.Logf("%s is not built yet", b.What)
			continue
		}
		args := append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}"}, there...)
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		cmd.Stderr = os.Stderr
		listed, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %v: %v", args, err)
		}
		fail(t, b.Check(string(listed)))
	}
}

func TestBehaviours(t *testing.T) {
	all, err := lint.IDs(read(t, "testdata/behaviours.txt"))
	if err != nil {
		t.Fatal("testdata/behaviours.txt: ", err)
	}
	cited := lint.Cited(load(t))
	text := read(t, "testdata/pending.txt")
	if *update {
		text = lint.Shrink(text, cited)
		if err := os.WriteFile(filepath.Join(root, "testdata/pending.txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pending, err := lint.IDs(text)
	if err != nil {
		t.Fatal("testdata/pending.txt: ", err)
	}
	fail(t, lint.CheckBehaviours(all, pending, cited))
	t.Logf("%d behaviours, %d of them pending", len(all), len(pending))
}
