package lint

import (
	"go/ast"
	"regexp"
	"strings"
)

// testing says whether a file is test code: a _test.go file, or a package that
// only tests import.
func (f *File) testing() bool {
	return f.Test || below(f.Dir, "store/storetest", "durabletest", "internal/sim", "internal/crash")
}

// checkSleep refuses waiting by the clock in tests: too short on a busy
// machine, too long on any other.
func checkSleep(src *Source, report report) {
	for _, f := range src.Files {
		if !f.testing() {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, name := f.selected(sel); pkg == "time" && name == "Sleep" {
					report(f, "sleep", "a test never sleeps: wait for a signal the code gives, or run in a testing/synctest bubble", f.line(n.Pos()))
				}
			}
			return true
		})
	}
}

// checkVerdict refuses a test that is content with either end: it cannot fail.
func checkVerdict(src *Source, report report) {
	phrase := regexp.MustCompile(`(?i)completed` + ` or ` + `failed`)
	for _, f := range src.Files {
		if !f.testing() {
			continue
		}
		for i, line := range strings.Split(f.Text, "\n") {
			if phrase.MatchString(line) {
				report(f, "verdict", "a test that takes either end cannot fail: say which one it is", i+1)
			}
		}
	}
}
