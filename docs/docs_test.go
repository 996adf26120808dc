// Package docs_test keeps the documentation true: every Go block of a guide is
// a piece of a file that is compiled and run, every link leads to something,
// and every test that docs/guarantees.md names is there.
//
// A block names its piece in a comment above it:
//
//	<!-- example: docs/examples/steps_test.go#retry -->
//
// The piece lies between the lines "// [retry]" and "// [/retry]" of that file.
// "go test ./docs -update" copies the pieces into the guides.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

var update = flag.Bool("update", false, "copy the examples into the guides")

// pages are all documents, by path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all[filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator)))] = read(t, name)
		}
	}
	if len(all) < 8 {
		t.Fatalf("only %d documents were found: the checks would pass on nothing", len(all))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced Go block with the comment above it.
var block = regexp.MustCompile("(?m)(?:^<!-- example: (\\S+)#(\\S+) -->\n)?^```go\n((?s:.*?))^```$")

func TestBlocksArePiecesOfExamples(t *testing.T) {
	for name, text := range pages(t) {
		fixed := block.ReplaceAllStringFunc(text, func(found string) string {
			m := block.FindStringSubmatch(found)
			if m[1] == "" {
				t.Errorf("%s: a Go block is no example that is compiled: %.60q", name, m[3])
				return found
			}
			want, err := piece(read(t, filepath.Join(root, m[1])), m[2])
			if err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
				return found
			}
			if want != m[3] && !*update {
				t.Errorf("%s: the block differs from %s#%s; run go test ./docs -update", name, m[1], m[2])
			}
			return fmt.Sprintf("<!-- example: %s#%s -->\n```go\n%s```", m[1], m[2], want)
		})
		if *update && fixed != text {
			if err := os.WriteFile(filepath.Join(root, name), []byte(fixed), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// piece is the named piece of a file, without the indent that all its lines share.
func piece(text, name string) (string, error) {
	var (
		lines  []string
		inside bool
		ended  bool
	)
	for line := range strings.Lines(text) {
		switch mark := strings.TrimSpace(line); {
		case mark == "// ["+name+"]":
			inside = true
		case mark == "// [/"+name+"]":
			inside, ended = false, true
		case inside && !strings.HasPrefix(mark, "// [") && !strings.HasPrefix(mark, "// lint:"):
			lines = append(lines, line)
		}
	}
	if !ended || inside || len(lines) == 0 {
		return "", fmt.Errorf("there is no piece between // [%s] and // [/%s]", name, name)
	}
	indent := 99
	for _, line := range lines {
		if strings.TrimSpace(line) != "" {
			indent = min(indent, len(line)-len(strings.TrimLeft(line, "\t")))
		}
	}
	for i, line := range lines {
		lines[i] = line[min(indent, len(line)-1):]
	}
	return strings.Trim(strings.Join(lines, ""), "\n") + "\n", nil
}

var (
	link    = regexp.MustCompile(`\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
)

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(m[2], "#")
			if strings.Contains(target, ":") {
				continue // elsewhere on the web
			}
			to := name
			if target != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
				if _, err := os.Stat(filepath.Join(root, to)); err != nil {
					t.Errorf("%s: the link %s leads nowhere", name, m[2])
					continue
				}
			}
			if anchor != "" && strings.HasSuffix(to, ".md") && !slices.Contains(anchors(all[to]), anchor) {
				t.Errorf("%s: the link %s names no heading of %s", name, m[2], to)
			}
		}
	}
}

// anchors are the names by which headings are linked to.
func anchors(text string) []string {
	var list []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		list = append(list, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			case r >= 'A' && r <= 'Z':
				return r + 'a' - 'A'
			}
			return -1
		}, m[1]))
	}
	return list
}

// proof is a link from a promise to a test: its text is the name.
var proof = regexp.MustCompile("\\[`([^`]+)`\\]\\(([^()\\s]+)\\)")

func TestNamedTestsExist(t *testing.T) {
	const page = "docs/guarantees.md"
	found := 0
	for _, m := range proof.FindAllStringSubmatch(pages(t)[page], -1) {
		if !strings.HasPrefix(m[1], "Test") && !strings.HasPrefix(m[1], "Fuzz") && !strings.Contains(m[1], "/") {
			continue
		}
		found++
		if !declares(t, filepath.Join(root, "docs", m[2]), m[1]) {
			t.Errorf("%s: there is no test %s in %s", page, m[1], m[2])
		}
	}
	if found < 20 {
		t.Errorf("%s names only %d tests", page, found)
	}
}

// declares tells whether a file, or a file of a folder, has a test: a function
// of that name, or a clause of a suite with that name.
func declares(t *testing.T, at, name string) bool {
	t.Helper()
	files := []string{at}
	if info, err := os.Stat(at); err != nil {
		return false
	} else if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(at, "*.go")); err != nil {
			t.Fatal(err)
		}
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text := read(t, file)
		return strings.Contains(text, "func "+name+"(") || strings.Contains(text, `{"`+name+`",`)
	})
}

// The checks above must be able to fail.
func TestChecksSeeWhatIsWrong(t *testing.T) {
	if _, err := piece("// [a]\nx\n", "a"); err == nil {
		t.Error("a piece without an end was taken")
	}
	got, err := piece("func f() {\n\t// [a]\n\tif x {\n\t\ty()\n\t}\n\t// [/a]\n}\n", "a")
	if want := "if x {\n\ty()\n}\n"; err != nil || got != want {
		t.Errorf("the piece is %q (%v), want %q", got, err, want)
	}
	if m := block.FindStringSubmatch("```go\nx\n```\n"); m == nil || m[1] != "" || m[3] != "x\n" {
		t.Errorf("a block without an example was read as %q", m)
	}
	if m := link.FindStringSubmatch("a [b `c[1]`](d.md#e) f"); m == nil || m[2] != "d.md#e" {
		t.Errorf("a link was read as %q", m)
	}
	if declares(t, "docs_test.go", "TestThatNobodyWrote") || !declares(t, ".", "TestChecksSeeWhatIsWrong") {
		t.Error("tests are not told from what is none")
	}
}
