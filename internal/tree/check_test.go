package tree

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDF1_AllMistakesAtOnceEachWithItsPath(t *testing.T) {
	bad := step("charge")
	bad.Retry = &Retry{MaxAttempts: 2, Base: -time.Second, Jitter: 1.5, Backoff: 9}
	bad.AtMostOnce = true
	bad.Queue = "nowhere"
	none := step("none")
	none.Retry = &Retry{}
	asks := step("asks")
	asks.Reconciles = true
	built := step("built")
	built.Mistakes = []string{"the function is nil"}
	endless := loop("endless", step("x"))
	endless.Max = -1
	w := workflow(
		bad,
		step("twice"), step("twice"),
		step(""), step("a b"), nil,
		branch("by_type", way("invoice", none), way("invoice"), way("a/b", asks)).otherwise(built),
		branch("nothing"),
		loop("empty"), endless,
		seq("void"),
	)
	w.Root.Mistakes = []string{"Queue: the name is empty"}
	w.Version = "a\nb"
	w.Queue = "nowhere"
	var got []string
	for _, m := range Check(w, func(q string) bool { return q == "default" }) {
		got = append(got, m.Path+": "+m.Text)
	}
	want := []string{
		`: version: it contains the control character '\n'`,
		`: queue "nowhere" is not configured; add it to Config.Queues, or name it durable.Elsewhere if other workers serve it`,
		`: Queue: the name is empty`,
		`charge: queue "nowhere" is not configured; add it to Config.Queues, or name it durable.Elsewhere if other workers serve it`,
		`charge: Retry.Base and Retry.Max must not be negative`,
		`charge: Retry.Jitter is a share of the delay; give at most 1`,
		`charge: Retry.Backoff is none of Exponential, Linear, Constant`,
		`charge: AtMostOnce begins its body once, so Retry.MaxAttempts must be 1`,
		`twice: two nodes side by side have this name; names are how a run finds its place, so rename one`,
		`(node 4, a step): the name is empty; give it one`,
		`(node 5, a step): the name contains ' '; use letters, digits and _ - . :`,
		`: node 6 is nil`,
		`by_type: two cases have the key "invoice"`,
		`by_type[invoice]/none: Retry.MaxAttempts is 0; it counts the first attempt too, so give at least 1`,
		`by_type[a%2Fb]/asks: Reconcile answers what became of an AtMostOnce step; add .AtMostOnce()`,
		`by_type[*]/built: the function is nil`,
		`nothing: the branch has neither a Case nor a Default`,
		`empty: the loop has no nodes`,
		`endless: Max is -1; give the number of passes that are allowed`,
		`void: the sequence has no nodes`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestCheckOfTheWhole(t *testing.T) {
	w := &Workflow{Name: "a b", Root: &Node{Kind: Sequence}, Queue: "\x00"}
	var got []string
	for _, m := range Check(Place(w), func(string) bool { return false }) {
		got = append(got, m.Text)
	}
	want := []string{
		`the name contains ' '; use letters, digits and _ - . :`,
		`the workflow has no nodes; give it at least one step`,
		`queue: it contains the control character '\x00'`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
	if m := Check(workflow(step("a")), nil); len(m) != 0 {
		t.Errorf("a good tree has mistakes: %v", m)
	}
}

func TestCheckIsBoundedByNesting(t *testing.T) {
	deep := step("x")
	for range MaxNesting - 1 {
		deep = seq("s", deep)
	}
	if m := Check(workflow(deep), nil); len(m) != 0 {
		t.Fatalf("%d levels are allowed: %v", MaxNesting, m)
	}
	m := Check(workflow(seq("s", deep)), nil)
	if len(m) != 1 || m[0].Text != "nodes are nested deeper than 32" {
		t.Fatalf("one level more: %v", m)
	}
	ring := seq("ring")
	ring.Body = []*Node{ring}
	w := workflow(ring) // Place and Walk end, too
	n := 0
	Walk(w, func(*Node) { n++ })
	if m := Check(w, nil); len(m) != 1 || n != MaxNesting+1 {
		t.Fatalf("a node inside itself: %v, %d nodes walked", m, n)
	}
}

func TestCheckRefusesUnknownKinds(t *testing.T) {
	defer func() {
		if r := recover(); r != "tree: unknown kind unknown" {
			t.Errorf("recovered %v", r)
		}
	}()
	Check(workflow(&Node{Kind: 99, Name: "x"}), nil)
}

func TestDF3_Names(t *testing.T) {
	for _, good := range []string{"a", "A-b_c.d:1", "größe", "文書", "1", ".", "..", strings.Repeat("x", MaxName)} {
		if m := NameMistake(good); m != "" {
			t.Errorf("%q: %s", good, m)
		}
	}
	for bad, want := range map[string]string{
		"":                             "empty",
		"a b":                          "' '",
		"a/b":                          "'/'",
		"a[1]":                         "'['",
		"a%":                           "'%'",
		"*":                            "'*'",
		"a\u200bb":                     `'\u200b'`,
		"e\u0301":                      "the name contains",
		"\xff":                         "UTF-8",
		strings.Repeat("x", MaxName+1): "longer than 200 bytes",
	} {
		if m := NameMistake(bad); !strings.Contains(m, want) {
			t.Errorf("%q: %q, want something with %q", bad, m, want)
		}
	}
}

func TestDF3_TextsAreAnyUTF8WithoutControlCharacters(t *testing.T) {
	for _, good := range []string{"a b/c[d]%*", "ключ", "🙂", "~"} {
		if m := TextMistake(good); m != "" {
			t.Errorf("%q: %s", good, m)
		}
	}
	for bad, want := range map[string]string{
		"": "empty", "a\tb": `'\t'`, "\x7f": "control", "\u0085": "control", "\xc3": "UTF-8", strings.Repeat("x", 201): "200 bytes",
	} {
		if m := TextMistake(bad); !strings.Contains(m, want) {
			t.Errorf("%q: %q, want something with %q", bad, m, want)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	want := "unknown step sequence branch loop parallel each decision input event pause child unknown"
	var got []string
	for k := range Child + 2 {
		got = append(got, k.String())
	}
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func TestPassesOfALoop(t *testing.T) {
	n := loop("l", step("x"))
	if n.Passes() != DefaultLoopMax {
		t.Errorf("by default %d", n.Passes())
	}
	if n.Max = 3; n.Passes() != 3 {
		t.Errorf("with Max 3: %d", n.Passes())
	}
}
