package lint

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
)

// checkSQL refuses statements put together at run time. Statements are
// written out whole, and values are parameters. It knows three shapes: + and
// += with something that is not a constant, fmt.Sprintf and its kin, and
// pieces written to a builder.
func checkSQL(src *Source, report report) {
	begins := regexp.MustCompile(`(?i)^\s*(select\s|insert\s+(or|into)\s|update\s|delete\s+from\s|with\s|pragma\s|create\s|alter\s|drop\s)`)
	goesOn := regexp.MustCompile(`(?i)^\s*(from|where|and|or|set|values|join|left join|order by|group by|limit|offset|returning)\b`)
	const advice = ": write the statement out and pass values as parameters"
	for _, f := range src.Files {
		if f.Test || !below(f.Dir, "store") || below(f.Dir, "store/storetest", "store/memory") {
			continue
		}
		constants := src.constants(f.Dir)
		value := func(e ast.Expr) (string, bool) { return constant(e, constants) }
		sql := func(e ast.Expr) bool {
			text, ok := value(e)
			return ok && begins.MatchString(text)
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op != token.ADD {
					return true
				}
				if _, whole := value(n); whole {
					return false
				}
				if slices.ContainsFunc(operands(n), sql) {
					report(f, "sql", "SQL put together with +"+advice, f.line(n.Pos()))
					return false
				}
			case *ast.AssignStmt:
				if n.Tok == token.ADD_ASSIGN {
					first := operands(n.Rhs[0])[0]
					if text, ok := value(first); ok && (begins.MatchString(text) || goesOn.MatchString(text)) {
						report(f, "sql", "SQL put together with +="+advice, f.line(n.Pos()))
						return false
					}
				}
			case *ast.CallExpr:
				if f.builds(n) && slices.ContainsFunc(n.Args, sql) {
					report(f, "sql", "SQL put together by a function"+advice, f.line(n.Pos()))
					return false
				}
			}
			return true
		})
	}
}

// builds says whether a call makes text of its arguments.
func (f *File) builds(call *ast.CallExpr) bool {
	pkg, name := f.called(call)
	switch pkg {
	case "fmt":
		return name != "Errorf"
	case "strings", "bytes":
		return slices.Contains([]string{"Join", "Replace", "ReplaceAll", "NewReplacer", "Repeat"}, name)
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "WriteString"
}

// operands are the parts of a + b + c, from the left.
func operands(e ast.Expr) []ast.Expr {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == token.ADD {
		return append(operands(b.X), operands(b.Y)...)
	}
	return []ast.Expr{e}
}

// constants are the string constants of a package, by name.
func (src *Source) constants(dir string) map[string]ast.Expr {
	values := map[string]ast.Expr{}
	for _, f := range src.Files {
		if f.Dir != dir {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			gen, ok := n.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				return true
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if i < len(v.Values) {
						values[name.Name] = v.Values[i]
					}
				}
			}
			return true
		})
	}
	return values
}

// constant is the text of a string that is known when it is compiled.
func constant(e ast.Expr, named map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.ParenExpr:
		return constant(e.X, named)
	case *ast.Ident:
		value, ok := named[e.Name]
		if !ok {
			return "", false
		}
		return constant(value, named)
	case *ast.BinaryExpr:
		left, ok := constant(e.X, named)
		right, also := constant(e.Y, named)
		return left + right, ok && also && e.Op == token.ADD
	}
	return "", false
}

// checkOpen keeps everyone but the driver away from the database file: closing
// any descriptor of it drops the locks that SQLite holds in this process.
func checkOpen(src *Source, report report) {
	opens := []string{"Open", "OpenFile", "OpenInRoot", "Create", "CreateTemp", "ReadFile", "WriteFile", "Truncate", "CopyFS", "NewFile"}
	for _, f := range src.Files {
		if f.Test || !below(f.Dir, "store/sqlite") {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				pkg, name := f.called(call)
				if (pkg == "os" || pkg == "syscall" || pkg == "golang.org/x/sys/unix") && slices.Contains(opens, name) {
					report(f, "open", "closing any descriptor of the database file drops SQLite's locks: only the driver opens files ("+pkg+"."+name+")", f.line(call.Pos()))
				}
			}
			return true
		})
	}
}
