package durable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/sqlite"
)

// refusal opens an engine that must be refused.
func refusal(t *testing.T, cfg durable.Config) *durable.DefinitionError {
	t.Helper()
	opener := &countingOpener{}
	e, err := durable.Open(context.Background(), opener, cfg)
	if err == nil {
		_ = e.Close()
	}
	var bad *durable.DefinitionError
	if !errors.As(err, &bad) {
		t.Fatalf("Open gives %v, want a DefinitionError", err)
	}
	if opener.n != 0 {
		t.Error("the store was opened for a config that is refused")
	}
	return bad
}

type countingOpener struct{ n int }

func (o *countingOpener) OpenStore(ctx context.Context) (store.Store, error) {
	o.n++
	return memory.New().OpenStore(ctx)
}

func wantMistakes(t *testing.T, bad *durable.DefinitionError, want ...[2]string) {
	t.Helper()
	for _, w := range want {
		found := false
		for _, m := range bad.Mistakes {
			found = found || strings.Contains(m.Where, w[0]) && strings.Contains(m.Text, w[1])
		}
		if !found {
			t.Errorf("no mistake at %q that says %q in:\n%v", w[0], w[1], bad)
		}
	}
}

func TestDF1_AllMistakesAtOnce(t *testing.T) {
	type key struct{ A int }
	w := durable.Define("w",
		mark("twice"), mark("twice"), mark(""), mark("bad/name"),
		body("nothing", nil),
		mark("attempts").Retry(durable.Retry{}),
		mark("negative").Retry(durable.Retry{MaxAttempts: 2, Base: -time.Second}),
		mark("timeout").Timeout(-5*time.Second),
		mark("queue").Queue("gpu"),
		mark("once").AtMostOnce().Retry(durable.Retry{MaxAttempts: 2}),
		durable.Loop("empty", func(*note) bool { return true }),
		durable.Loop("unasked", nil, mark("a")),
		durable.Branch("keys", func(n *note) string { return n.Kind }).Case("a").Case("a").Case("b\x00").Default().Default(),
		durable.Branch[note, key]("unasked2", nil).Case(key{1}).Case(key{1}),
		nil,
	)
	same := durable.Define("same", mark("a"))
	cfg := serve(w, same, durable.Define("same", mark("b")), durable.Define[note]("nodes"), nil)
	cfg.Queues = map[string]durable.Queue{"": {}, "neg": {Concurrency: -5}, "poll": {PollInterval: -1}}
	wantMistakes(t, refusal(t, cfg),
		[2]string{"w: twice", ""}, [2]string{"w: (node 4, a step)", "contains '/'"}, [2]string{"w: nothing", "nil"}, [2]string{"w: attempts", "MaxAttempts"},
		[2]string{"w: negative", "negative"}, [2]string{"w: timeout", "-5s"}, [2]string{"w: queue", `"gpu"`}, [2]string{"w: once", ""},
		[2]string{"w: empty", ""}, [2]string{"w: unasked", "nil"}, [2]string{"w: keys", `"a"`}, [2]string{"w: keys", "Default"},
		[2]string{"w: unasked2", "nil"}, [2]string{"workflow w", "node 15 is nil"}, [2]string{"workflow same", "version"},
		[2]string{"workflow nodes", ""}, [2]string{"Workflows[4]", "nil"}, [2]string{`Queues[""]`, ""}, [2]string{`Queues["neg"]`, "-5"},
		[2]string{`Queues["poll"]`, "PollInterval"})
}

func TestDF2_TypesThatJSONCannotCarry(t *testing.T) {
	type inner struct {
		Fn func() `json:"fn"`
	}
	type bad struct {
		C    chan int           `json:"c"`
		Z    complex128         `json:"z"`
		In   []map[string]inner `json:"in"`
		Keys map[float64]int    `json:"keys"`
		Fine func()             `json:"-"`
	}
	w := durable.Define("w", durable.Step("a", func(context.Context, *bad) error { return nil }))
	wantMistakes(t, refusal(t, serve(w)), [2]string{"workflow w", "C (c)"}, [2]string{"workflow w", "Z (z)"}, [2]string{"workflow w", "Fn (fn)"}, [2]string{"workflow w", "Keys (keys)"})
	f := durable.Define("f", durable.Step("a", func(context.Context, *func()) error { return nil }))
	wantMistakes(t, refusal(t, serve(f)), [2]string{"workflow f", "func"})
}

func TestDF2_TypesFromOutside(t *testing.T) {
	type bad struct {
		C chan int `json:"c"`
	}
	ask := func(*note) durable.Ask { return durable.Ask{} }
	w := durable.Define("w",
		durable.Event("event", func(*note, bad) {}),
		durable.Input("input", ask, func(*note, bad) {}),
		durable.Input("channel", ask, func(*note, chan int) {}))
	wantMistakes(t, refusal(t, serve(w)), [2]string{"w: event", "C (c) is a chan"}, [2]string{"w: input", "C (c) is a chan"}, [2]string{"w: channel", "chan int is a chan"})
}

func TestDF1_HowChildrenBegin(t *testing.T) {
	child := durable.Define("child", mark("a"))
	with := func(name string, opts ...durable.StartOption) durable.Node[note] {
		return durable.Child(name, child, func(n *note) note { return *n }, func(*note, note) {}).With(opts...)
	}
	w := durable.Define("w",
		with("keyed", durable.Key("k")),
		with("all", durable.InQueue("nowhere"), durable.Priority(99999), durable.Tags("", "fine", "a\x00")),
		with("good", durable.InQueue("default"), durable.Priority(-1000), durable.Tags("x"), durable.At(time.Now())))
	bad := refusal(t, serve(child, w))
	wantMistakes(t, bad, [2]string{"w: keyed", "Key is for Start"}, [2]string{"w: all", `"nowhere"`}, [2]string{"w: all", "99999"}, [2]string{"w: all", `the tag ""`}, [2]string{"w: all", `the tag "a\x00"`})
	if len(bad.Mistakes) != 5 {
		t.Errorf("%d mistakes, want 5: %v", len(bad.Mistakes), bad)
	}
}

// Nodes of every kind may stand in two definitions, in two versions, and twice in one.
func TestDF4_NodesInSeveralDefinitions(t *testing.T) {
	child := durable.Define("child", mark("in_child"))
	nodes := []durable.Node[note]{
		mark("step"),
		durable.Sequence("sequence", mark("a"), mark("b")),
		durable.Branch("branch", func(n *note) bool { return true }).Case(true, mark("yes")).Default(mark("no")),
		durable.Loop("loop", func(n *note) bool { return n.Trace[len(n.Trace)-1] != "pass" }, mark("pass")),
		durable.Parallel("parallel", durable.Sequence("x", mark("lane")), mark("y")).Merge(func(n *note, lanes map[string]durable.Outcome[note]) error {
			n.Trace = append(n.Trace, fmt.Sprint(len(lanes), " lanes"))
			return nil
		}),
		durable.Each("each", func(*note) []note { return make([]note, 2) }, mark("item")).Into(func(n *note, items []note) {
			n.Trace = append(n.Trace, fmt.Sprint(len(items), " items"))
		}),
		durable.Each("spread", func(*note) []note { return make([]note, 2) }, mark("item")).Spread().Into(func(n *note, items []note) {
			n.Trace = append(n.Trace, fmt.Sprint(len(items), " spread"))
		}),
		decide("decision", func(*note) durable.Choice { return durable.Goto("pause") }).To("pause"),
		mark("never"),
		durable.Pause("pause", func(*note) time.Duration { return time.Second }),
		durable.Event("event", func(n *note, v string) { n.Trace = append(n.Trace, v) }).Timeout(time.Second).OnTimeout("event"),
		durable.Input("input", func(*note) durable.Ask {
			return durable.Ask{Options: []durable.WaitOption{durable.Timeout(time.Second), durable.OnTimeout("input")}}
		}, func(n *note, v string) { n.Trace = append(n.Trace, v) }),
		durable.Child("child", child, func(*note) note { return note{} }, func(n *note, c note) { n.Trace = append(n.Trace, c.Trace...) }),
	}
	want := []string{"step", "a", "b", "yes", "pass", "2 lanes", "2 items", "2 spread", "decision", "event", "input", "in_child"}
	one := durable.Define("one", nodes...).Version("1")
	two := durable.Define("one", append(slices.Clone(nodes), mark("end"))...).Version("2")
	other := durable.Define("other", durable.Sequence("first", nodes...), durable.Sequence("second", nodes...))
	inMemory(t, serve(child, one, two, other), func(t *testing.T, e env) {
		for range 2 {
			wantTrace(t, durabletest.Start(e.Engine, one, note{}).Done(), want...)
		}
		wantTrace(t, durabletest.Start(e.Engine, two, note{}).Done(), append(slices.Clone(want), "end")...)
		wantTrace(t, durabletest.Start(e.Engine, other, note{}).Done(), slices.Concat(want, want)...)
	})
	// What is wrong with them is said once for each place.
	twice := durable.Parallel("p", durable.Node[note](nil), mark("a"))
	bad := refusal(t, serve(durable.Define("v", twice, durable.Event("e", func(*note, int) {}).OnTimeout(1)), durable.Define("w", twice)))
	if len(bad.Mistakes) != 3 {
		t.Errorf("%d mistakes, want 3: %v", len(bad.Mistakes), bad)
	}
}

func TestDF3_Names(t *testing.T) {
	w := durable.Define("wörk.flow-1:a_b",
		mark("schritt_ä.1:x-y"),
		durable.Branch("b", func(n *note) string { return n.Kind }).
			Case("any / text [*] 世界", mark("in")).Default(mark("other")))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Kind: "any / text [*] 世界"}, durable.Key("key / 世"), durable.Tags("a b", "ü"))
		wantTrace(t, run.Done(), "schritt_ä.1:x-y", "in")
		if _, err := e.ByKey(context.Background(), "wörk.flow-1:a_b", "key / 世"); err != nil {
			t.Error(err)
		}
		for _, opt := range []durable.StartOption{durable.Key("a\nb"), durable.Tags(""), durable.Tags("a\x00"), durable.Key(strings.Repeat("k", 201))} {
			_, err := w.Start(context.Background(), e.Engine.Engine, note{}, opt)
			wantError(t, err, durable.ErrInvalid)
		}
	})
	for _, name := range []string{"", "a b", "a/b", "a[1]", "a\n", "*", strings.Repeat("n", 201), "\xff"} {
		refusal(t, serve(durable.Define("w", mark(name))))
		refusal(t, serve(durable.Define(name, mark("a"))))
	}
}

// DF-4 for the nodes that there are.
func TestDefine_NodesNestInAnyWay(t *testing.T) {
	kind := func(n *note) string { return n.Kind }
	passes := func(k int) func(n *note) bool {
		return func(n *note) bool { return n.N%10 < k }
	}
	inc := body("inc", func(_ context.Context, n *note) error { n.N++; return nil })
	ten := body("ten", func(_ context.Context, n *note) error { n.N = n.N/10*10 + 10; return nil })
	w := durable.Define("w",
		durable.Loop("outer", func(n *note) bool { return n.N < 20 },
			durable.Sequence("seq",
				durable.Branch("b", kind).
					Case("x", durable.Branch("bb", func(n *note) bool { return n.N < 10 }).
						Case(true, mark("small")).
						Case(false, durable.Loop("inner", passes(2), inc, durable.Sequence("s", mark("again"))))),
				durable.Loop("none", func(*note) bool { return false }, mark("never"))),
			ten),
		mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		wantTrace(t, durabletest.Start(e.Engine, w, note{Kind: "x"}).Done(), "small", "again", "again", "end")
	})
}

func TestDF5_AnUnusableConfigLeavesNothing(t *testing.T) {
	w := durable.Define("w", mark("a"))
	for name, change := range map[string]func(*durable.Config){
		"Lease":      func(c *durable.Config) { c.Lease = time.Millisecond },
		"MaxPayload": func(c *durable.Config) { c.MaxPayload = -1 },
		"16777216":   func(c *durable.Config) { c.MaxPayload = 1 << 30 },
	} {
		cfg := serve(w)
		change(&cfg)
		if bad := refusal(t, cfg); !strings.Contains(bad.Error(), name) {
			t.Errorf("%s: %v", name, bad)
		}
	}
	path := filepath.Join(t.TempDir(), "x.db")
	_, err := durable.Open(context.Background(), sqlite.Open(path), durable.Config{Lease: 1})
	if _, missing := os.Stat(path); err == nil || missing == nil {
		t.Errorf("error %v, and the file is there: %t", err, missing == nil)
	}
	if _, err := durable.Open(context.Background(), nil, serve(w)); err == nil {
		t.Error("a nil store is accepted")
	}
}

func TestDF6_TwoEnginesShareNothing(t *testing.T) {
	w := durable.Define("w", mark("a"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		other, err := durable.Open(context.Background(), memory.New(), serve(w))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		mine := durabletest.Start(e.Engine, w, note{}, durable.Key("k"))
		mine.Done()
		theirs, err := w.Start(context.Background(), other, note{N: 1}, durable.Key("k"))
		if err != nil || theirs.Existing || theirs.ID == mine.ID {
			t.Errorf("started %+v, %v", theirs, err)
		}
		_, err = other.Execution(context.Background(), mine.ID)
		wantError(t, err, durable.ErrNotFound)
		if x, err := other.Execution(context.Background(), theirs.ID); err != nil || x.Status != durable.Pending {
			t.Errorf("the other engine does not run: %+v, %v", x, err)
		}
		if !reflect.DeepEqual(mine.Done(), note{Trace: []string{"a"}}) {
			t.Error("the first run changed")
		}
	})
}
