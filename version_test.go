package durable_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// VR-1 but for what doctor lists.
func TestVersions_OnlyWorkersWithThem(t *testing.T) {
	one := durable.Define("w", take("s", "e"), mark("one")).Version("1")
	two := durable.Define("w", take("s", "e"), mark("two")).Version("2")
	onStores(t, serve(one, two), func(t *testing.T, e env) {
		old := durabletest.Start(e.Engine, one, note{})
		old.Settle()
		young := durabletest.Start(e.Engine, two, note{})
		young.Settle()
		e.Deploy(serve(two))
		old.Event("e", "x")
		young.Event("e", "x")
		wantTrace(t, young.Done(), "x", "two")
		e.Sleep(time.Hour)
		if x := old.Look(); x.Status != durable.Pending || x.Version != "1" {
			t.Errorf("without its version it is %s", x.Status)
		}
		e.Deploy(serve(two, one))
		wantTrace(t, old.Done(), "x", "one")
	})
}

func TestVR2_ChangedTree(t *testing.T) {
	old := durable.Define("w", mark("a"), take("s", "e"), mark("gone"), mark("z"))
	changed := durable.Define("w", mark("before"), mark("a"), take("s", "e"), mark("after"), mark("z"))
	onStores(t, serve(old), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, old, note{})
		run.Settle()
		e.Deploy(serve(changed))
		run.Event("e", "x")
		wantTrace(t, run.Done(), "a", "x", "after", "z")
	})
}

// VR-4 but for Move, too.
func TestVR3_BlockedAndGoingOn(t *testing.T) {
	inCase := func(key string, nodes ...durable.Node[note]) *durable.Workflow[note] {
		return durable.Define("w", mark("a"), durable.Branch("b", func(*note) string { return "x" }).Case(key, nodes...).Default(mark("d")), mark("end"))
	}
	old := inCase("x", mark("x1"), take("s", "e"))
	onStores(t, serve(old), func(t *testing.T, e env) {
		for name, other := range map[string]*durable.Workflow[note]{
			"step":   inCase("x", mark("x1"), mark("renamed")),
			"case":   inCase("y", mark("x1"), take("s", "e")),
			"branch": durable.Define("w", mark("a"), mark("end")),
			"kind":   inCase("x", mark("x1"), durable.Sequence("s", mark("in"))),
		} {
			e.Deploy(serve(old))
			run := durabletest.Start(e.Engine, old, note{})
			run.Settle()
			e.Deploy(serve(other))
			run.Event("e", "kept")
			x := run.Settle()
			if x.Status != durable.Blocked || x.Error == nil || x.Error.Code != "blocked" || !strings.Contains(x.Error.Message, "b") {
				t.Fatalf("%s: it is %s, %+v", name, x.Status, x.Error)
			}
			t.Logf("%s: %s at %s", name, x.Error.Message, x.Error.Path)
			run.Event("later", "blocked runs take messages")
			began := time.Now()
			e.Deploy(serve(old))
			synctest.Wait()
			wantTrace(t, run.Done(), "a", "x1", "kept", "end")
			if d := time.Since(began); d > time.Second {
				t.Errorf("%s: it went on after %s", name, d)
			}
		}
	})
}

func TestVR5_StateTypes(t *testing.T) {
	type v1 struct {
		A int `json:"a"`
	}
	type v2 struct {
		A int            `json:"a"`
		B string         `json:"b,omitempty"`
		C map[string]any `json:"c,omitempty"`
	}
	type text struct {
		A string `json:"a"`
	}
	wait := func(ctx context.Context) error {
		_, err := durable.WaitForEvent[any](ctx, "e")
		return err
	}
	rich := durable.Define("w", durable.Step("s", func(ctx context.Context, v *v2) error {
		v.A++
		return wait(ctx)
	}), durable.Step("end", func(_ context.Context, v *v2) error { v.A += 10; return nil }))
	poor := durable.Define("w", durable.Step("s", func(ctx context.Context, v *v1) error {
		v.A++
		return wait(ctx)
	}), durable.Step("end", func(_ context.Context, v *v1) error { v.A += 10; return nil }))
	wrong := durable.Define("w", durable.Step("s", func(ctx context.Context, v *text) error { return wait(ctx) }),
		durable.Step("end", func(context.Context, *text) error { return nil }))
	onStores(t, serve(rich), func(t *testing.T, e env) {
		in := v2{A: 1, B: "kept", C: map[string]any{"n": json.Number("9007199254740993")}}
		run := durabletest.Start(e.Engine, rich, in)
		run.Settle()
		e.Deploy(serve(poor))
		run.Event("e", 1)
		run.Settle()
		if got, want := string(run.Look().State), `{"a":12,"b":"kept","c":{"n":9007199254740993}}`; got != want {
			t.Errorf("fields that the code does not know: %s, want %s", got, want)
		}
		grows := durabletest.Start(e.Engine, poor, v1{A: 1})
		grows.Settle()
		e.Deploy(serve(rich))
		grows.Event("e", 1)
		grows.Settle()
		if got := string(grows.Look().State); got != `{"a":12}` {
			t.Errorf("a new field starts at zero: %s", got)
		}
		stuck := durabletest.Start(e.Engine, rich, in)
		stuck.Settle()
		e.Deploy(serve(wrong))
		stuck.Event("e", 1)
		x := stuck.Settle()
		if x.Status != durable.Blocked || !strings.Contains(x.Error.Message, "a") || !strings.Contains(x.Error.Message, "string") {
			t.Fatalf("it is %s: %+v", x.Status, x.Error)
		}
		e.Deploy(serve(rich)) // code with the same nodes that reads it
		synctest.Wait()
		if x := stuck.Settle(); x.Status != durable.Completed || !strings.HasPrefix(string(x.State), `{"a":12`) {
			t.Errorf("with the right type it is %s: %s", x.Status, x.State)
		}
	})
}

func TestVR6_ARollingDeployFailsNothing(t *testing.T) {
	old := durable.Define("w", mark("a"), take("s", "e"), mark("z"))
	young := durable.Define("w", mark("a"), take("s", "e"), mark("new"), mark("z"))
	onStores(t, serve(old), func(t *testing.T, e env) {
		var runs []*durabletest.Started[note]
		for range 20 {
			runs = append(runs, durabletest.Start(e.Engine, old, note{}))
		}
		synctest.Wait()
		other := e.Join(serve(young))
		for i, r := range runs {
			if i == 10 {
				other.Deploy(serve(old)) // rolled back
			}
			r.Event("e", "x")
			got := r.Done()
			if got.Trace = slices.DeleteFunc(got.Trace, func(s string) bool { return s == "new" }); !slices.Equal(got.Trace, []string{"a", "x", "z"}) {
				t.Errorf("trace %q", got.Trace)
			}
		}
	})
}

// VR-4 but for Move: two workers whose code lacks the place take the run once
// each, and then leave it alone until code comes that has it, or somebody says so.
func TestVR4_TwoKindsOfCodeDoNotBounceARun(t *testing.T) {
	lacks := func(name string) *durable.Workflow[note] { return durable.Define("w", mark("a"), mark(name)) }
	old := durable.Define("w", mark("a"), take("s", "e"), mark("z"))
	onStores(t, serve(old), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, old, note{})
		run.Settle()
		e.Deploy(serve(lacks("one")))
		other := e.Join(serve(lacks("two")))
		run.Event("e", "x")
		epoch := e.record(t, run.ID).Epoch
		for range 2 {
			e.Sleep(24 * time.Hour)
			rec := e.record(t, run.ID)
			if rec.Status != durable.Blocked || len(rec.Blocked) != 2 || rec.Epoch > epoch+2 {
				t.Errorf("after a day it is %s, blocked by %q, and was claimed %d times", rec.Status, rec.Blocked, rec.Epoch-epoch)
			}
			if err := e.Unblock(t.Context(), run.ID); err != nil {
				t.Fatal(err)
			}
			epoch = rec.Epoch + 1
		}
		e.Sleep(time.Hour)
		other.Deploy(serve(durable.Define("w", mark("a"), take("s", "e"), mark("three"))))
		wantTrace(t, run.Done(), "a", "x", "three")
	})
}
