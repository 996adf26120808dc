package lint

import (
	"go/ast"
	"slices"
)

// pure packages decide and never act: same arguments, same answer. That is
// what lets tests run them by the million and a simulator drive them.
func pure(dir string) bool {
	return slices.Contains([]string{"internal/tree", "internal/journal", "internal/plan", "internal/cron"}, dir)
}

func checkPure(src *Source, report report) {
	effects := []string{"context", "os", "net", "database/sql", "sync", "math/rand", "crypto/rand", "log", "syscall", "io/ioutil"}
	clocks := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
	for _, f := range src.Files {
		if f.Test || !pure(f.Dir) {
			continue
		}
		f.imports(func(spec *ast.ImportSpec, imported string) {
			if below(imported, effects...) {
				report(f, "pure", f.Dir+" is pure and may not import "+imported, f.line(spec.Pos()))
			}
		})
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				report(f, "pure", f.Dir+" is pure and may not start a goroutine", f.line(n.Pos()))
			case *ast.SelectorExpr:
				if pkg, name := f.selected(n); pkg == "time" && slices.Contains(clocks, name) {
					report(f, "pure", f.Dir+" is pure and may not ask a clock (time."+name+"): take the time as an argument", f.line(n.Pos()))
				}
			}
			return true
		})
	}
}
