// Package lint holds the rules of this repository that a machine can check:
// which package may import which, what pure packages may not touch, what tests
// may not do, what has to be written down. It reads source text, go.mod, and the
// lists under testdata; it runs nothing of ours. Its own test is what calls it,
// and so "go test ./internal/lint" is the linter.
//
// A rule is excused where it does not fit by a comment on the line, or right
// above it, that names the rule and gives the reason:
//
//	// lint:var compiled once, read by all
//
// An excuse without a reason, for no known rule, or that excuses nothing, is
// itself a finding.
package lint

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path that all our packages share.
const Module = "github.com/durable-go/durable"

// Finding is one broken rule at one place.
type Finding struct {
	Path string // slash-separated, from the root of the repository
	Line int
	Rule string
	Text string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.Path, f.Line, f.Rule, f.Text)
}

// File is one parsed Go file.
type File struct {
	Path string
	Dir  string // the package: "" is the root, "store/sqlite" that folder
	Test bool   // ends in _test.go
	Text string
	AST  *ast.File

	fset    *token.FileSet
	excuses []*excuse
}

// excuse is a comment that lets a rule be broken.
type excuse struct {
	rule, why string
	line      int // where it stands
	covers    int // the line right below its comment, if that stands alone
	used      bool
}

// Source is all Go files of the main module, whatever their build tags.
type Source struct {
	Files []*File
}

// Load parses the Go files below root. Nested modules, testdata and hidden
// folders are left out.
func Load(root string) (*Source, error) {
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if rel == "." {
				return nil
			}
			_, nested := os.Stat(filepath.Join(name, "go.mod"))
			if nested == nil || base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		texts[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return Parse(texts)
}

// Parse makes a Source of texts by path.
func Parse(texts map[string]string) (*Source, error) {
	src := &Source{}
	for name, text := range texts {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		dir := path.Dir(name)
		if dir == "." {
			dir = ""
		}
		f := &File{Path: name, Dir: dir, Test: strings.HasSuffix(name, "_test.go"), Text: text, AST: parsed, fset: fset}
		f.readExcuses()
		src.Files = append(src.Files, f)
	}
	slices.SortFunc(src.Files, func(a, b *File) int { return cmp.Compare(a.Path, b.Path) })
	return src, nil
}

func (f *File) readExcuses() {
	lines := strings.Split(f.Text, "\n")
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			rest, ok := strings.CutPrefix(c.Text, "// lint:")
			if !ok {
				continue
			}
			rule, why, _ := strings.Cut(rest, " ")
			e := &excuse{rule: rule, why: strings.TrimSpace(why), line: f.line(c.Pos())}
			if at := f.fset.Position(c.Pos()); strings.TrimSpace(lines[at.Line-1][:at.Column-1]) == "" {
				e.covers = f.line(group.End()) + 1
			}
			f.excuses = append(f.excuses, e)
		}
	}
}

func (f *File) line(p token.Pos) int { return f.fset.Position(p).Line }

// excused says whether one of the lines is excused from a rule. Line 0 stands
// for the whole file: an excuse anywhere in it will do.
func (f *File) excused(rule string, lines ...int) bool {
	for _, e := range f.excuses {
		for _, line := range lines {
			if e.rule == rule && e.why != "" && (line == 0 || e.line == line || e.covers == line) {
				e.used = true
				return true
			}
		}
	}
	return false
}

// imports gives each import path with its name in this file ("" for none).
func (f *File) imports(visit func(spec *ast.ImportSpec, imported string)) {
	for _, spec := range f.AST.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			visit(spec, imported)
		}
	}
}

// called tells which function of an imported package a call names: for
// time.Sleep(d) it is "time", "Sleep". Renamed imports are seen through.
func (f *File) called(call *ast.CallExpr) (pkg, name string) {
	return f.selected(call.Fun)
}

func (f *File) selected(e ast.Expr) (pkg, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	f.imports(func(spec *ast.ImportSpec, imported string) {
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == id.Name {
			pkg, name = imported, sel.Sel.Name
		}
	})
	return pkg, name
}

// below says whether dir is one of the folders or inside one.
func below(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return dir == folder || strings.HasPrefix(dir, folder+"/")
	})
}

// report is how a rule says what it found. The finding is dropped if one of
// the lines is excused; the first of them is where it stands.
type report func(f *File, rule, text string, lines ...int)

// Check runs every rule that looks at source text.
func Check(src *Source) []Finding {
	var found []Finding
	add := func(f *File, rule, text string, lines ...int) {
		if !f.excused(rule, lines...) {
			found = append(found, Finding{f.Path, lines[0], rule, text})
		}
	}
	rules := []func(*Source, report){
		checkArrows, checkPure, checkVars, checkSleep, checkVerdict, checkSQL, checkOpen, checkDocs, checkMarks, checkLong,
	}
	for _, rule := range rules {
		rule(src, add)
	}
	known := []string{"arrow", "pure", "var", "sleep", "sql", "open", "doc", "long"}
	for _, f := range src.Files {
		for _, e := range f.excuses {
			switch {
			case !slices.Contains(known, e.rule):
				found = append(found, Finding{f.Path, e.line, "excuse", "there is no rule " + strconv.Quote(e.rule) + " to be excused from"})
			case e.why == "":
				found = append(found, Finding{f.Path, e.line, "excuse", "lint:" + e.rule + " gives no reason"})
			case !e.used:
				found = append(found, Finding{f.Path, e.line, "excuse", "lint:" + e.rule + " excuses nothing any more: take it away"})
			}
		}
	}
	return found
}
