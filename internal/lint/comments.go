package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// longest is how many lines a file may have. Where engines went to die, files
// had thousands.
const longest = 500

func checkLong(src *Source, report report) {
	for _, f := range src.Files {
		if n := strings.Count(f.Text, "\n"); !f.Test && n > longest && !f.excused("long", 0) {
			report(f, "long", fmt.Sprintf("%d lines, more than %d: split it by noun (or // lint:long reason)", n, longest), n)
		}
	}
}

// checkMarks refuses marks of unfinished work that do not say why it is
// unfinished: MARK(reason): what.
func checkMarks(src *Source, report report) {
	marks := "TO" + "DO|FIX" + "ME|XX" + "X|HA" + "CK"
	bare := regexp.MustCompile(`\b(` + marks + `)\b`)
	reasoned := regexp.MustCompile(`\b(` + marks + `)\([^)]{8,}\): \S`)
	for _, f := range src.Files {
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				if bare.MatchString(c.Text) && !reasoned.MatchString(c.Text) {
					report(f, "mark", "say why it is unfinished, as in "+bare.FindString(c.Text)+"(waits for the journal): what is to do; or do it", f.line(c.Pos()))
				}
			}
		}
	}
}

// public says whether users import a package.
func (f *File) public() bool {
	return !f.Test && f.AST.Name.Name != "main" && !below(f.Dir, "internal", "cmd", "examples")
}

// checkDocs wants a comment on every package, and in public ones on every
// exported name. Constants and variables may share the comment of their group;
// the comment of a struct speaks for its fields too. Methods whose contract is
// the language's (Error, String …) need none.
func checkDocs(src *Source, report report) {
	said := map[string]bool{}
	first := map[string]*File{}
	for _, f := range src.Files {
		if f.Test {
			continue
		}
		said[f.Dir] = said[f.Dir] || f.AST.Doc != nil
		if first[f.Dir] == nil {
			first[f.Dir] = f
		}
		if !f.public() {
			continue
		}
		for _, decl := range f.AST.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Name.IsExported() && exportedReceiver(decl) && decl.Doc == nil && !wellKnown(decl) {
					report(f, "doc", "exported "+decl.Name.Name+" has no comment", f.line(decl.Pos()))
				}
			case *ast.GenDecl:
				f.checkGroup(decl, report)
			}
		}
	}
	for _, f := range src.Files {
		if first[f.Dir] == f && !said[f.Dir] {
			report(f, "doc", "package "+f.AST.Name.Name+" has no comment: say what it knows, what it refuses to know, who calls it", f.line(f.AST.Name.Pos()))
		}
	}
}

func (f *File) checkGroup(decl *ast.GenDecl, report report) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, n := range spec.Names {
				if n.IsExported() && decl.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					report(f, "doc", "exported "+n.Name+" has no comment", f.line(n.Pos()))
				}
			}
		case *ast.TypeSpec:
			if !spec.Name.IsExported() {
				continue
			}
			if spec.Doc == nil && (decl.Lparen.IsValid() || decl.Doc == nil) {
				report(f, "doc", "exported "+spec.Name.Name+" has no comment", f.line(spec.Pos()))
			}
			if t, ok := spec.Type.(*ast.InterfaceType); ok && len(t.Methods.List) > 1 {
				f.checkMethods(spec.Name.Name, t.Methods, report)
			}
		}
	}
}

// checkMethods goes through the methods of an interface: one without a comment
// belongs to the line above it, if there is no gap. The comment of an
// interface speaks for its only method.
func (f *File) checkMethods(owner string, list *ast.FieldList, report report) {
	end, said := 0, false
	for _, field := range list.List {
		adjacent := f.line(field.Pos()) == end+1
		said = field.Doc != nil || field.Comment != nil || adjacent && said
		end = f.line(field.End())
		for _, n := range field.Names {
			if n.IsExported() && !said {
				report(f, "doc", "exported "+owner+"."+n.Name+" has no comment", f.line(field.Pos()))
			}
		}
	}
}

// wellKnown says whether everyone knows what a method does by its name.
func wellKnown(decl *ast.FuncDecl) bool {
	return decl.Recv != nil && slices.Contains([]string{
		"Error", "Unwrap", "Is", "As", "String", "GoString", "LogValue",
		"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText",
	}, decl.Name.Name)
}

// exportedReceiver says whether a method belongs to a type that users see.
func exportedReceiver(decl *ast.FuncDecl) bool {
	if decl.Recv == nil {
		return true
	}
	t := decl.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return token.IsExported(fmt.Sprint(t))
		}
	}
}
