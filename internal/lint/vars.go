package lint

import (
	"go/ast"
	"go/token"
	"strings"
)

// checkVars refuses package variables: state that all engines of a process
// would share. Errors, embedded files and "var _ I = T{}" are none. Tests may
// have them, and so may examples, whose workflows are package variables as
// users write them.
func checkVars(src *Source, report report) {
	for _, f := range src.Files {
		if f.Test || below(f.Dir, "examples") {
			continue
		}
		for _, decl := range f.AST.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				if v.Names[0].Name == "_" || f.isError(v) || embeds(gen.Doc) || embeds(v.Doc) {
					continue
				}
				report(f, "var", "package variable "+v.Names[0].Name+": pass it, or make it a constant or a function (a compiled table: // lint:var reason)",
					f.line(v.Pos()), f.line(gen.Pos()))
			}
		}
	}
}

// isError says whether every value is a plain new error, or one of another
// package under a name of ours, or declared to be an error.
func (f *File) isError(v *ast.ValueSpec) bool {
	if id, ok := v.Type.(*ast.Ident); ok && id.Name == "error" {
		return true
	}
	for _, value := range v.Values {
		if sel, ok := value.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "Err") {
			continue
		}
		call, ok := value.(*ast.CallExpr)
		if !ok {
			return false
		}
		pkg, name := f.called(call)
		if (pkg != "errors" || name != "New") && (pkg != "fmt" || name != "Errorf") {
			return false
		}
	}
	return len(v.Values) > 0
}

func embeds(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}
