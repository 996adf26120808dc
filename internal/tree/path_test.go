package tree

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDF3_TwoKeysNeverGiveOneElement(t *testing.T) {
	text := rapid.StringOf(rapid.SampledFrom([]rune("ab/[]%*25AF\x00\x1f\x7fé🙂 ")))
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		if (a == b) != (CaseElement("n", a) == CaseElement("n", b)) {
			t.Fatalf("%q and %q: %s, %s", a, b, CaseElement("n", a), CaseElement("n", b))
		}
		if CaseElement("n", a) == DefaultElement("n") {
			t.Fatalf("%q is the default", a)
		}
		e := Escape(a)
		if strings.ContainsAny(e, "/[]*\x00\x1f\x7f") {
			t.Fatalf("%q is no single element", e)
		}
		if back := unescape(e); back != a {
			t.Fatalf("%q comes back as %q", a, back)
		}
	})
}

// unescape is written apart from Escape, as its inverse.
func unescape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for len(s) > 0 {
		if s[0] == '%' {
			b.WriteByte(byte(strings.IndexByte(hex, s[1])<<4 | strings.IndexByte(hex, s[2])))
			s = s[3:]
			continue
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

func TestDF3_StarIsNotTheDefault(t *testing.T) {
	for key, want := range map[string]string{"*": "b[%2A]", "%2A": "b[%252A]", "": "b[]", "a/b": "b[a%2Fb]", "x]": "b[x%5D]", "plain é": "b[plain é]"} {
		if got := CaseElement("b", key); got != want {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
	if DefaultElement("b") != "b[*]" || PassElement("l", 12) != "l[12]" {
		t.Error(DefaultElement("b"), PassElement("l", 12))
	}
}

func TestSplitAndJoin(t *testing.T) {
	if e, rest := Split("a[x]/b/c"); e != "a[x]" || rest != "b/c" {
		t.Error(e, rest)
	}
	if e, rest := Split("a"); e != "a" || rest != "" {
		t.Error(e, rest)
	}
	if p := Join(Join("", "a"), "b"); p != "a/b" {
		t.Error(p)
	}
}

func TestPlaceWalkAndFindAgree(t *testing.T) {
	w := workflow(
		step("a"),
		branch("b", way("x", step("c")), way("*", step("d"))).otherwise(seq("s", step("e"))),
		loop("l", branch("in", way("y", step("f")))),
	)
	var got []string
	Walk(w, func(n *Node) {
		got = append(got, n.Place)
		path := strings.Replace(n.Place, "l/", "l[7]/", 1)
		if Find(w, path) != n {
			t.Errorf("Find(%s) is not the node of %s", path, n.Place)
		}
	})
	want := "a b b[x]/c b[%2A]/d b[*]/s b[*]/s/e l l/in l/in[y]/f"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("places %s, want %s", s, want)
	}
	for _, path := range []string{"", "z", "a/b", "b[z]/c", "b/c", "s/e", "l[0]/z", "b[*]/c"} {
		if n := Find(w, path); n != nil {
			t.Errorf("Find(%q) found %s", path, n.Place)
		}
	}
}
