package term_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/cmd/durable/internal/term"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                        "plain",
		"red \x1b[31mtext\x1b[0m":      "red [31mtext[0m",
		"\x1b]0;title\a":               "]0;title",
		"a\u009b2Jb":                   "a2Jb",
		"two\r\nlines\tand a tab":      "two  lines and a tab",
		"back\b\b\x7fspace":            "backspace",
		"\u202eevil\u202c \u2066x":     "evil x",
		"bad \xff utf8 \xc3\x28":       "bad  utf8 (",
		"break\u2028here\u0085and\x00": "break here and",
		"größe 文書 é":                   "größe 文書 é",
	} {
		if got := term.Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
	if got := term.Text("a\n\x1b[2Jb\tc\r\n"); got != "a\n[2Jb    c\n" {
		t.Errorf("Text gives %q", got)
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{"abc": 3, "größe": 5, "文書": 4, "e\u0301": 1, "": 0, "…●━": 3} {
		if got := term.Width(s); got != want {
			t.Errorf("Width(%q) = %d, want %d", s, got, want)
		}
	}
	for n, want := range map[int]string{9: "文書 text", 8: "文書 te…", 6: "文書…", 4: "文…", 1: "…", 0: ""} {
		if got := term.Cut("文書 text", n); got != want {
			t.Errorf("Cut to %d gives %q, want %q", n, got, want)
		}
	}
	if got := term.Wrap("one two  three verylongword x", 9); strings.Join(got, "|") != "one two|three|verylongword|x" {
		t.Errorf("Wrap gives %q", got)
	}
}

func TestTable(t *testing.T) {
	table := &term.Table{Columns: []term.Column{{Head: "ID"}, {Head: "NAME", Min: 6}, {Head: "N", Right: true}, {Head: "TEXT", Min: 8}}}
	table.Add("1", "a rather long name", "7", "and \x1b[31mmore text than fits")
	table.Add("22", "b", "1234")
	for _, c := range []struct {
		wide int
		want []string
	}{
		{0, []string{"ID  NAME                   N  TEXT", "1   a rather long name     7  and [31mmore text than fits", "22  b                   1234"}},
		{40, []string{"ID  NAME               N  TEXT", "1   a rather long…     7  and [31mmore…", "22  b               1234"}},
	} {
		got := table.Lines(&term.Screen{}, c.wide)
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("at %d columns:\n%s\nwant:\n%s", c.wide, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestColour(t *testing.T) {
	if got := (&term.Screen{Colour: true}).Paint(term.Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	s := term.NewScreen(new(bytes.Buffer), func(string) string { return "" })
	if got := s.Paint(term.Red, "x"); got != "x" || s.TTY {
		t.Errorf("a buffer gets colours: %q", got)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := term.WriteJSON(&b, map[string]string{"a": "\x1b[31m\u009b\u202e\x7f <é>"}); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"a\": \"\\u001b[31m\\u009b\\u202e\\u007f <é>\"\n}\n"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0 ms", 0: "0 ms", 3 * time.Millisecond: "3 ms", 1234 * time.Millisecond: "1.2 s", 59_960 * time.Millisecond: "1 min 00 s",
		125 * time.Second: "2 min 05 s", 2*time.Hour + 10*time.Minute: "2 h 10 min", 76 * time.Hour: "3 d 4 h",
	} {
		if got := term.Took(d); got != want {
			t.Errorf("Took(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 129488: "129,488", -1234567: "-1,234,567", -123: "-123"} {
		if got := term.Thousands(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
