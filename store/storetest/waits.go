package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable/store"
)

func waitClauses() []clause {
	return []clause{
		{"waits/every field comes back", "IN-1", waitsFields},
		{"waits/order is deadline, then age", "IN-1", waitsOrder},
		{"waits/filters", "IN-1", waitsFilters},
		{"waits/pages cover all once, also when some close", "IN-1", waitsPages},
		{"waits/moves with its execution's queue", "IN-1", waitsQueue},
		{"waits/altered in place", "IN-1", waitsAltered},
		{"waits/altering what has closed opens nothing", "IN-4", waitsAlteredClosed},
		{"waits/altered as they open and when they close", "IN-1", waitsAlteredAtOnce},
	}
}

func (e *env) waitsBy(f store.WaitFilter) store.WaitPage {
	e.tb.Helper()
	p, err := e.st.Waits(e.ctx(), f)
	e.ok(err, "list waits")
	return p
}

func names(ws []store.Wait) []string {
	var all []string
	for _, w := range ws {
		all = append(all, w.Name)
	}
	return all
}

func waitsFields(e *env) {
	r := e.running()
	w := store.Wait{
		ID: "an id", Execution: r.id, Path: "a[b]/c", Call: "7", Kind: "approval", Name: "review é", Topic: "t",
		Detail: []byte(`{"prompt":"?"}`), Deadline: e.now().Add(time.Hour),
		Label: "ada é",
	}
	e.advance(r, r.waitFor(w))
	got := e.waits(r.id)
	if len(got) != 1 {
		e.failf("%d waits, want 1", len(got))
	}
	if got[0].Opened.IsZero() || got[0].Opened.After(e.load(r.id).Now) {
		e.failf("opened %v", got[0].Opened)
	}
	got[0].Opened = time.Time{}
	w.Workflow, w.Queue = flow, queue
	if d := differ(w, got[0]); d != "" {
		e.failf("opened against listed: %s", d)
	}
}

func waitsOrder(e *env) {
	now := e.now()
	at := func(r run, name string, in time.Duration) store.Wait {
		w := r.wait(name, "t")
		if in != 0 {
			w.Deadline = now.Add(in)
		}
		return w
	}
	r, s := e.running(), e.running()
	e.advance(r, r.waitFor(at(r, "d none", 0), at(r, "c in 3 h", 3*time.Hour), at(r, "a past", -time.Hour)))
	e.until("the clock has moved on", func() bool { return e.now().After(now.Add(2 * time.Millisecond)) })
	e.advance(s, s.waitFor(at(s, "e none, later", 0), at(s, "b in 2 h", 2*time.Hour)))
	want := []string{"a past", "b in 2 h", "c in 3 h", "d none", "e none, later"}
	if got := names(e.waitsBy(store.WaitFilter{}).Waits); !slices.Equal(got, want) {
		e.failf("listed %q, want %q", got, want)
	}
}

func waitsFilters(e *env) {
	r := e.running()
	w := r.wait("review", "t")
	w.Kind = "approval"
	other := r.wait("other", "t")
	other.Label = "ada"
	e.advance(r, r.waitFor(w, other))
	b := start()
	b.Workflow, b.Owner = "another", e.lease()
	s := run{e.begin(b), b.Owner, 1, 1}
	v := s.wait("third", "t")
	v.Kind = "input"
	e.advance(s, s.waitFor(v))
	for _, c := range []struct {
		f    store.WaitFilter
		want []string
	}{
		{store.WaitFilter{}, []string{"other", "review", "third"}},
		{store.WaitFilter{ID: w.ID}, []string{"review"}},
		{store.WaitFilter{Execution: r.id}, []string{"other", "review"}},
		{store.WaitFilter{Execution: newID()}, nil},
		{store.WaitFilter{Workflow: "another"}, []string{"third"}},
		{store.WaitFilter{Name: "review"}, []string{"review"}},
		{store.WaitFilter{Name: "re%"}, nil},
		{store.WaitFilter{Name: "REVIEW"}, nil},
		{store.WaitFilter{ID: "%"}, nil},
		{store.WaitFilter{Kinds: []string{"input"}}, []string{"third"}},
		{store.WaitFilter{Kinds: []string{"input", "approval"}}, []string{"review", "third"}},
		{store.WaitFilter{Kinds: []string{"_nput"}}, nil},
		{store.WaitFilter{Label: "ada"}, []string{"other"}},
		{store.WaitFilter{Label: "ad%"}, nil},
		{store.WaitFilter{Label: "ada", Execution: r.id, Kinds: []string{"approval"}}, nil},
		{store.WaitFilter{Queue: queue}, []string{"other", "review", "third"}},
		{store.WaitFilter{Queue: "slow"}, nil},
		{store.WaitFilter{Queue: queue, Execution: r.id}, []string{"other", "review"}},
		{store.WaitFilter{Execution: r.id, Kinds: []string{"input"}}, nil},
		{store.WaitFilter{Execution: r.id, Name: "review", Kinds: []string{"approval"}, Workflow: flow, ID: w.ID}, []string{"review"}},
	} {
		if got := slices.Sorted(slices.Values(names(e.waitsBy(c.f).Waits))); !slices.Equal(got, c.want) {
			e.failf("filter %+v found %q, want %q", c.f, got, c.want)
		}
	}
	for _, s := range hostile() {
		e.waitsBy(store.WaitFilter{ID: s, Name: s, Workflow: s, Queue: s, Label: s, Kinds: []string{s}})
	}
}

func waitsPages(e *env) {
	r := e.running()
	var open []store.Wait
	var want []string
	for i := range 11 {
		w := r.wait(fmt.Sprintf("w%02d", i), "t")
		if i < 7 {
			w.Deadline = e.now().Add(time.Hour + time.Duration(i/2)*time.Minute)
		}
		open, want = append(open, w), append(want, w.Name)
	}
	a := r.next("opens")
	a.Open = open
	r = e.advance(r, a)
	for _, limit := range []int{1, 2, 3, 10, 11, 12} {
		f, got := store.WaitFilter{Limit: limit}, []string(nil)
		for range 20 {
			p := e.waitsBy(f)
			got = append(got, names(p.Waits)...)
			if f.Cursor = p.Cursor; f.Cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			e.failf("pages of %d show %q, want %q", limit, got, want)
		}
	}
	first := e.waitsBy(store.WaitFilter{Limit: 4})
	b := r.next("shuts what was shown")
	b.Shut = []string{open[0].ID, open[3].ID}
	e.advance(r, b)
	if got := names(e.waitsBy(store.WaitFilter{Limit: 4, Cursor: first.Cursor}).Waits); !slices.Equal(got, want[4:8]) {
		e.failf("the page after one whose waits closed shows %q, want %q", got, want[4:8])
	}
}

func waitsQueue(e *env) {
	r := e.running()
	a := r.waitFor(r.wait("w", "t"))
	a.Release.Queue = "slow"
	e.advance(r, a)
	if ws := e.waits(r.id); ws[0].Queue != "slow" {
		e.failf("the wait's queue is %q, its execution's is slow", ws[0].Queue)
	}
}

func waitsAltered(e *env) {
	r, s := e.running(), e.running()
	w, other := r.wait("w", "t"), r.wait("other", "t")
	w.Deadline, w.Label, w.Detail = e.now().Add(time.Hour), "ada", []byte("old")
	a := r.next("opens")
	a.Open = []store.Wait{w, other}
	r = e.advance(r, a)
	foreign := s.wait("theirs", "t")
	b := s.next("opens")
	b.Open = []store.Wait{foreign}
	e.advance(s, b)
	was := e.waits(r.id)
	e.until("the clock has moved on", func() bool { return e.now().After(was[0].Opened.Add(2 * time.Millisecond)) })
	a = r.next("alters")
	w.Deadline, w.Label, w.Detail = time.Time{}, "bob", []byte("new")
	spoiled, far := w, foreign
	spoiled.Path, spoiled.Call, spoiled.Kind, spoiled.Name, spoiled.Topic = "x", "x", "x", "x", "x"
	far.Label = "eve"
	a.Alter = []store.Wait{spoiled, far}
	r = e.advance(r, a)
	want := slices.Clone(was)
	for i := range want {
		if want[i].ID == w.ID {
			want[i].Deadline, want[i].Label, want[i].Detail = w.Deadline, w.Label, w.Detail
		}
	}
	slices.SortFunc(want, func(a, b store.Wait) int { return cmp.Compare(a.ID, b.ID) })
	got := e.waits(r.id)
	slices.SortFunc(got, func(a, b store.Wait) int { return cmp.Compare(a.ID, b.ID) })
	if d := differ(want, got); d != "" {
		e.failf("altered: %s", d)
	}
	if ws := e.waits(s.id); ws[0].Label != "" {
		e.failf("another execution's wait was altered: %+v", ws[0])
	}
	if got := names(e.waitsBy(store.WaitFilter{Label: "bob"}).Waits); !slices.Equal(got, []string{"w"}) {
		e.failf("by its new label there are %q", got)
	}
	e.advance(r, r.waitFor())
}

func waitsAlteredClosed(e *env) {
	r := e.running()
	w := r.wait("w", "")
	a := r.next("opens")
	a.Open = []store.Wait{w}
	r = e.advance(r, a)
	d := send(r.id, "", "answer")
	d.Wait = w.ID
	e.one(delivering(d), store.Applied, "answer")
	a = r.next("alters")
	w.Label = "bob"
	a.Alter = []store.Wait{w}
	r = e.advance(r, a)
	if ws := e.waits(r.id); len(ws) != 0 {
		e.failf("a wait that was answered is open again: %+v", ws)
	}
	e.refused("to wait for what was answered", advancing(r.waitFor()))
}

func waitsAlteredAtOnce(e *env) {
	r := e.running()
	w, x := r.wait("w", "t"), r.wait("x", "t")
	a := r.next("opens and alters")
	a.Open = []store.Wait{w, x}
	w.Label = "bob"
	a.Alter = []store.Wait{w}
	r = e.advance(r, a)
	if got := names(e.waitsBy(store.WaitFilter{Label: "bob"}).Waits); !slices.Equal(got, []string{"w"}) {
		e.failf("altered as it opens: %q", got)
	}
	a = r.waitFor()
	w.Label = "eve"
	a.Alter, a.Shut = []store.Wait{w}, []string{w.ID}
	e.advance(r, a)
	if got := names(e.waits(r.id)); !slices.Equal(got, []string{"x"}) {
		e.failf("altered as it closes: %q are open", got)
	}
}
