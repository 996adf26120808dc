package fail

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants are the labels that are declared, by their Go names.
func constants(t *testing.T) map[string]Label {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "label.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Label{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found[v.Names[0].Name] = Label(text)
		}
		return true
	})
	return found
}

// points are the labels at which the code has points, with where; a point whose
// argument is not one of our constants is reported.
func pointsIn(fset *token.FileSet, f *ast.File, known map[string]Label) (found map[Label]string, wrong []string) {
	found = map[Label]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fn, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || fn.Sel.Name != "Point" && fn.Sel.Name != "Err" {
			return true
		}
		if pkg, ok := fn.X.(*ast.Ident); !ok || pkg.Name != "fail" || pkg.Obj != nil {
			return true
		}
		where := fset.Position(call.Pos()).String()
		sel, ok := call.Args[0].(*ast.SelectorExpr)
		if !ok || known[sel.Sel.Name] == "" {
			wrong = append(wrong, where+": the label of a point must be a constant of package fail")
			return true
		}
		found[known[sel.Sel.Name]] = where
		return true
	})
	return found, wrong
}

// Every label is in the list and in the code, and every point has a label.
func TestLabels(t *testing.T) {
	known := constants(t)
	listed := Labels()
	for name, l := range known {
		if !slices.Contains(listed, l) {
			t.Errorf("Labels lacks %s (%s)", name, l)
		}
	}
	if len(listed) != len(known) {
		t.Errorf("Labels lists %d, %d are declared", len(listed), len(known))
	}
	used := map[Label]string{}
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		found, wrong := pointsIn(fset, f, known)
		for _, w := range wrong {
			t.Error(w)
		}
		for l, where := range found {
			if used[l] != "" && !anotherStore(used[l], where) {
				t.Errorf("%s: %s is also at %s: a hit would be counted at two places", where, l, used[l])
			}
			used[l] = where
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listed {
		if used[l] == "" {
			t.Errorf("no point has the label %s", l)
		}
	}
}

// anotherStore tells whether two places are in different stores, of which a
// process has one.
func anotherStore(a, b string) bool {
	stores := filepath.Join("..", "..", "store") + string(filepath.Separator)
	return strings.HasPrefix(a, stores) && strings.HasPrefix(b, stores) && filepath.Dir(a) != filepath.Dir(b)
}

func TestPlantedPoints(t *testing.T) {
	const text = `package p
import "github.com/durable-go/durable/internal/fail"
func f() { fail.Point("commit.after"); fail.Point(fail.Nowhere); _ = fail.Err(fail.Load); other.Point(x) }`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	found, wrong := pointsIn(fset, f, constants(t))
	if len(wrong) != 2 || len(found) != 1 || found[Load] == "" {
		t.Errorf("found %v, wrong %v", found, wrong)
	}
}
