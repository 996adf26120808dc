package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Requirement is a module that a go.mod asks for.
type Requirement struct {
	Module, Version string
}

// Requirements reads the text of a go.mod. Lines that change what other
// modules mean (replace, exclude) come back as odd: a library must not have
// any, as they do nothing for those who import it.
func Requirements(text string) (wanted []Requirement, odd []string) {
	line := regexp.MustCompile(`^\s*(?:require\s+)?([^\s()]+\.[^\s()]+/?[^\s()]*)\s+(v\S+)`)
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "replace") || strings.HasPrefix(l, "exclude") || strings.Contains(l, "=>") {
			odd = append(odd, l)
			continue
		}
		if m := line.FindStringSubmatch(l); m != nil {
			wanted = append(wanted, Requirement{m[1], m[2]})
		}
	}
	return wanted, odd
}

// Documented reads the tables of docs/dependencies.md: rows that begin with a
// module in backticks. A row may give the version in its second cell. Rows
// below the heading "Tools" are apart: they belong to tools/go.mod.
func Documented(text string) (modules, tools []Requirement) {
	row := regexp.MustCompile("^\\|\\s*`([^`]+)`\\s*\\|\\s*(v\\S+)?")
	inTools := false
	for l := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(l, "## "); ok {
			inTools = strings.HasPrefix(heading, "Tools")
		}
		m := row.FindStringSubmatch(l)
		switch {
		case m == nil:
		case inTools:
			tools = append(tools, Requirement{m[1], m[2]})
		default:
			modules = append(modules, Requirement{m[1], m[2]})
		}
	}
	return modules, tools
}

// CheckModules compares a go.mod with its tables.
func CheckModules(gomod string, rows []Requirement) []string {
	wanted, odd := Requirements(gomod)
	var wrong []string
	for _, l := range odd {
		wrong = append(wrong, fmt.Sprintf("go.mod says %q, which does nothing for those who import this module", l))
	}
	for _, w := range wanted {
		i := slices.IndexFunc(rows, func(r Requirement) bool { return r.Module == w.Module })
		switch {
		case i < 0:
			wrong = append(wrong, fmt.Sprintf("%s %s is required but has no row in docs/dependencies.md: say why it is worth it", w.Module, w.Version))
		case rows[i].Version != "" && rows[i].Version != w.Version:
			wrong = append(wrong, fmt.Sprintf("%s: docs/dependencies.md says %s, go.mod %s", w.Module, rows[i].Version, w.Version))
		}
	}
	for _, r := range rows {
		if !slices.ContainsFunc(wanted, func(w Requirement) bool { return r.Module == w.Module }) {
			wrong = append(wrong, r.Module+" has a row in docs/dependencies.md but is not required any more")
		}
	}
	return wrong
}

// Budget is how many modules of others a program may link.
type Budget struct {
	What     string
	Packages []string // those that are there are counted together
	Most     int
	Never    []string // modules it may not link at all
}

// Budgets are all there are.
func Budgets() []Budget {
	return []Budget{
		{"the library", []string{".", "./store/sqlite"}, 14, []string{"github.com/jackc/pgx/v5"}},
		{"the command", []string{"./cmd/durable"}, 25, nil},
	}
}

// Check looks at the modules that go list names, one a line.
func (b Budget) Check(listed string) []string {
	linked := strings.Fields(listed)
	slices.Sort(linked)
	linked = slices.DeleteFunc(slices.Compact(linked), func(m string) bool { return m == Module })
	var wrong []string
	if len(linked) > b.Most {
		wrong = append(wrong, fmt.Sprintf("%s links %d modules, more than its budget of %d:\n\t%s", b.What, len(linked), b.Most, strings.Join(linked, "\n\t")))
	}
	for _, m := range b.Never {
		if slices.Contains(linked, m) {
			wrong = append(wrong, fmt.Sprintf("%s links %s, which its users did not ask for", b.What, m))
		}
	}
	return wrong
}
