package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// IDs reads a list of behaviours: one id at the beginning of each line, such as
// "BR-3 a crash inside a case". Empty lines and lines that begin with # are
// not read.
func IDs(text string) ([]string, error) {
	shape := regexp.MustCompile(`^[A-Z]{2}-[1-9][0-9]*$`)
	var list []string
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		id, _, _ := strings.Cut(l, " ")
		if !shape.MatchString(id) {
			return nil, fmt.Errorf("%q does not begin with an id such as BR-3", l)
		}
		if slices.Contains(list, id) {
			return nil, fmt.Errorf("%s is listed twice", id)
		}
		list = append(list, id)
	}
	return list, nil
}

// Cited are the ids in the names of tests, each with one test that has it. A
// test function has them in front (TestBR3_CrashInsideCase, TestSL1_EV7_Both);
// a subtest begins with one ("BR-3 crash inside a case"), in t.Run or as the
// name of a case in a table.
func Cited(src *Source) map[string]string {
	fn := regexp.MustCompile(`^Test((?:[A-Z]{2}[1-9][0-9]*_)+)`)
	one := regexp.MustCompile(`([A-Z]{2})([1-9][0-9]*)_`)
	sub := regexp.MustCompile(`^([A-Z]{2}-[1-9][0-9]*)(?:[ :_]|$)`)
	found := map[string]string{}
	for _, f := range src.Files {
		if !f.testing() || below(f.Dir, "internal/lint") {
			continue
		}
		subtest := func(e ast.Expr) {
			lit, ok := e.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return
			}
			if text, err := strconv.Unquote(lit.Value); err == nil {
				if m := sub.FindStringSubmatch(text); m != nil {
					found[m[1]] = f.Path + ": " + text
				}
			}
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if m := fn.FindStringSubmatch(n.Name.Name); m != nil && n.Recv == nil {
					for _, id := range one.FindAllStringSubmatch(m[1], -1) {
						found[id[1]+"-"+id[2]] = f.Path + ": " + n.Name.Name
					}
				}
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Run" && len(n.Args) > 0 {
					subtest(n.Args[0])
				}
			case *ast.CompositeLit:
				f.caseName(n, subtest)
			}
			return true
		})
	}
	return found
}

// caseName finds the name of a case of a table: the field called name, or the
// first value where fields have no names.
func (f *File) caseName(lit *ast.CompositeLit, visit func(ast.Expr)) {
	for i, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			if _, list := lit.Type.(*ast.ArrayType); i == 0 && !list {
				visit(e)
			}
			continue
		}
		if key, ok := kv.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "name") {
			visit(kv.Value)
		} else if !ok {
			visit(kv.Key) // a map of cases by name
		}
	}
}

// CheckBehaviours wants every id either in the name of a test or pending, and
// never both.
func CheckBehaviours(all, pending []string, cited map[string]string) []string {
	var wrong []string
	for _, id := range all {
		test, ok := cited[id]
		switch waits := slices.Contains(pending, id); {
		case ok && waits:
			wrong = append(wrong, fmt.Sprintf("%s is tested (%s) and still pending: run make pending", id, test))
		case !ok && !waits:
			wrong = append(wrong, id+" has no test with its id, and is not pending: the list of pending ids only shrinks")
		}
	}
	for _, id := range pending {
		if !slices.Contains(all, id) {
			wrong = append(wrong, id+" is pending but is not in testdata/behaviours.txt")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(cited)) {
		if !slices.Contains(all, id) {
			wrong = append(wrong, fmt.Sprintf("%s is cited (%s) but is not in testdata/behaviours.txt", id, cited[id]))
		}
	}
	return wrong
}

// Shrink takes the lines of cited ids out of a list.
func Shrink(pending string, cited map[string]string) string {
	var kept strings.Builder
	for l := range strings.Lines(pending) {
		id, _, _ := strings.Cut(strings.TrimSpace(l), " ")
		if _, ok := cited[id]; !ok {
			kept.WriteString(l)
		}
	}
	return kept.String()
}
