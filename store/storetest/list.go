package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/store"
)

func listClauses() []clause {
	return []clause{
		{"list/newest first", "QY-2", listOrder},
		{"list/each filter alone and all together", "QY-2", listFilters},
		{"list/filters have no wildcards", "QY-2", listWildcards},
		{"list/hostile strings are only strings", "QY-2", listHostile},
		{"list/id prefix with and without dashes", "QY-2", listPrefix},
		{"list/created in a window", "QY-2", listWindow},
		{"list/pages cover all once", "QY-2", listPages},
		{"list/pages are stable under inserts", "QY-2", listStable},
		{"list/limits", "QY-2", listLimits},
		{"list/count ignores cursor and limit", "QY-2", listCount},
		{"list/a cursor that no call returned", "QY-2", listBadCursor},
	}
}

func (e *env) list(f store.Filter) store.Page {
	e.tb.Helper()
	p, err := e.st.List(e.ctx(), f)
	e.ok(err, "list")
	return p
}

// lists asserts that a filter finds exactly these, in this order.
func (e *env) lists(f store.Filter, want ...store.ID) {
	e.tb.Helper()
	f.Count = true
	p := e.list(f)
	if got := ids(p.Executions); !slices.Equal(got, want) {
		e.failf("filter %+v found %v, want %v", f, got, want)
	}
	if p.Count != len(want) {
		e.failf("filter %+v counted %d, want %d", f, p.Count, len(want))
	}
}

func ids(xs []store.Execution) []store.ID {
	var all []store.ID
	for _, x := range xs {
		all = append(all, x.ID)
	}
	return all
}

func listOrder(e *env) {
	a, b, c := start(), start(), start()
	e.begin(b)
	e.begin(c)
	e.begin(a)
	e.lists(store.Filter{}, c.ID, b.ID, a.ID)
	if x, rec := e.list(store.Filter{}).Executions[0], e.load(c.ID); differ(x, rec.Execution) != "" {
		e.failf("listed and loaded differ: %s", differ(x, rec.Execution))
	}
}

func listFilters(e *env) {
	b := start()
	b.Workflow, b.Version, b.Queue, b.Key, b.Tags = "invoice", "v9", "slow", "k", []string{"x", "y"}
	b.Owner = e.lease()
	r := run{e.begin(b), b.Owner, 1, 1}
	a := r.park(store.Failed)
	a.Release.ErrorCode = "panic"
	e.advance(r, a)
	other := start()
	other.Tags = []string{"x", "z"}
	e.begin(other)
	for _, f := range []store.Filter{
		{Workflow: "invoice"},
		{Version: new("v9")},
		{Queue: "slow"},
		{Key: "k"},
		{Tags: []string{"y"}},
		{Tags: []string{"y", "x"}},
		{Statuses: []store.Status{store.Failed}},
		{Statuses: []store.Status{store.Blocked, store.Failed}},
		{ErrorCode: "panic"},
		{IDPrefix: b.ID.String()},
		{
			Workflow: "invoice", Version: new("v9"), Queue: "slow", Key: "k", Tags: []string{"x", "y"}, Statuses: []store.Status{store.Failed},
			ErrorCode: "panic", IDPrefix: b.ID.String(), After: e.now().Add(-time.Hour), Before: e.now().Add(time.Hour),
		},
	} {
		e.lists(f, b.ID)
	}
	e.lists(store.Filter{Tags: []string{"x"}}, other.ID, b.ID)
	e.lists(store.Filter{Statuses: []store.Status{store.Failed, store.Pending}}, other.ID, b.ID)
	for _, f := range []store.Filter{
		{Workflow: "invoice", Queue: queue}, {Version: new("")}, {Tags: []string{"y", "z"}}, {Statuses: []store.Status{"asleep"}}, {Key: "K"},
	} {
		e.lists(f)
	}
}

func listWildcards(e *env) {
	b := start()
	b.Workflow, b.Version, b.Queue, b.Key, b.Tags = "abc", "abc", "abc", "abc", []string{"abc"}
	e.begin(b)
	for _, s := range []string{"%", "a%", "a_c", "_%", "*", "a*", "ABC", "ab", "abc ", "abcd"} {
		for _, f := range []store.Filter{{Workflow: s}, {Version: &s}, {Queue: s}, {Key: s}, {Tags: []string{s}}, {ErrorCode: s}, {IDPrefix: s + "%"}} {
			e.lists(f)
		}
	}
}

// hostile are strings that break what is put together from strings.
func hostile() []string {
	return []string{
		`'; drop table execution; --`, `" or 1=1 --`, `\`, `\'`, `%`, `_`, `a,b`, `["x"]`, `{x}`, `$1`, `?1`, `:id`, `@p`, "tab\there",
		"line\nbreak", "\u202e", "\U0001F600", "é", "e\u0301", strings.Repeat("x", 200), `null`, `0`, ` `,
	}
}

func listHostile(e *env) {
	began := map[string]store.ID{}
	for _, s := range hostile() {
		b := start()
		b.Workflow, b.Version, b.Queue, b.Key, b.Tags = s, s, s, s, []string{s, "all"}
		began[s] = e.begin(b)
	}
	for s, id := range began {
		for _, f := range []store.Filter{{Workflow: s}, {Version: &s}, {Queue: s}, {Key: s}, {Tags: []string{s}}, {Tags: []string{"all", s}}} {
			e.lists(f, id)
		}
		e.lists(store.Filter{ErrorCode: s})
		e.lists(store.Filter{IDPrefix: "z" + s})
		x := e.load(id)
		if x.Workflow != s || x.Version != s || x.Queue != s || x.Key != s || !slices.Contains(x.Tags, s) || len(x.Tags) != 2 {
			e.failf("%q came back in another form: %+v", s, x.Execution)
		}
	}
	req := usual(e.lease())
	req.Definitions, req.Queues = nil, map[string]int{}
	for _, s := range hostile() {
		req.Definitions = append(req.Definitions, store.Definition{Workflow: s, Version: s})
		req.Queues[s] = 1
	}
	if n := len(e.claimAs(req).Records); n != len(hostile()) {
		e.failf("claimed %d of %d with hostile names", n, len(hostile()))
	}
}

func listPrefix(e *env) {
	a, b := start(), start()
	copy(a.ID[:], "\x0a\xbc\xde\xf0\x12\x34")
	copy(b.ID[:], "\x0a\xbc\xdf\xf0\x12\x34")
	e.begin(a)
	e.begin(b)
	e.lists(store.Filter{IDPrefix: "0"}, b.ID, a.ID)
	for _, p := range []string{"0abcde", "0abcdef0-", "0abcdef0-1", "0abcdef012", "0abcdef01234", a.ID.String(), strings.ReplaceAll(a.ID.String(), "-", "")} {
		e.lists(store.Filter{IDPrefix: p}, a.ID)
	}
	for _, p := range []string{"abc", "0abcdg", a.ID.String() + "0", "not hex", "%"} {
		e.lists(store.Filter{IDPrefix: p})
	}
}

func listWindow(e *env) {
	id := e.pending()
	created := e.load(id).Created
	e.lists(store.Filter{After: created}, id)
	e.lists(store.Filter{After: created.Add(-time.Second), Before: created.Add(time.Second)}, id)
	e.lists(store.Filter{Before: created})
	e.lists(store.Filter{After: created.Add(time.Second)})
}

// pages walks all pages and returns what they show.
func (e *env) pages(f store.Filter, between func()) []store.ID {
	e.tb.Helper()
	var all []store.ID
	for range 100 {
		p := e.list(f)
		all = append(all, ids(p.Executions)...)
		if f.Cursor = p.Cursor; f.Cursor == "" {
			return all
		}
		if len(p.Executions) != f.Limit {
			e.failf("a page of %d in the middle, want %d", len(p.Executions), f.Limit)
		}
		between()
	}
	e.failf("no end after 100 pages")
	return nil
}

func (e *env) begun(n int) []store.ID {
	e.tb.Helper()
	var all []store.ID
	var batch []store.Write
	for range n {
		b := start()
		all, batch = append(all, b.ID), append(batch, beginning(b))
	}
	e.commit(batch...)
	slices.Reverse(all)
	return all
}

func listPages(e *env) {
	want := e.begun(12)
	for _, limit := range []int{1, 5, 6, 11, 12, 13} {
		if got := e.pages(store.Filter{Limit: limit}, func() {}); !slices.Equal(got, want) {
			e.failf("pages of %d show %d, want all 12 once, newest first", limit, len(got))
		}
	}
	if p := e.list(store.Filter{Limit: 12}); p.Cursor != "" {
		e.failf("a page that is the last has a cursor")
	}
}

func listStable(e *env) {
	want := e.begun(9)
	got := e.pages(store.Filter{Limit: 2, Workflow: flow}, func() { e.pending() })
	if !slices.Equal(got, want) {
		e.failf("with inserts between pages they show %d, want the 9 of before, once", len(got))
	}
}

func listLimits(e *env) {
	e.begun(600)
	e.begun(500)
	for limit, want := range map[int]int{0: 50, 7: 7, 1000: 1000, 5000: 1000} {
		if p := e.list(store.Filter{Limit: limit}); len(p.Executions) != want || p.Cursor == "" {
			e.failf("limit %d gave %d of 1,100, want %d and a cursor", limit, len(p.Executions), want)
		}
	}
}

func listCount(e *env) {
	e.begun(7)
	other := start()
	other.Workflow = "another"
	e.begin(other)
	f := store.Filter{Workflow: flow, Limit: 3, Count: true}
	for range 3 {
		p := e.list(f)
		if p.Count != 7 {
			e.failf("counted %d, want 7", p.Count)
		}
		f.Cursor = p.Cursor
	}
	if p := e.list(store.Filter{Workflow: fmt.Sprint(flow, "x"), Count: true}); p.Count != 0 || len(p.Executions) != 0 {
		e.failf("nothing there, counted %d", p.Count)
	}
}

func listBadCursor(e *env) {
	e.begun(3)
	for _, c := range append(hostile(), "AAAA", "bm9uc2Vuc2U") {
		_, err := e.st.List(e.ctx(), store.Filter{Cursor: c})
		e.is(err, store.ErrBadCursor, fmt.Sprintf("list with cursor %q", c))
		_, err = e.st.Waits(e.ctx(), store.WaitFilter{Cursor: c})
		e.is(err, store.ErrBadCursor, fmt.Sprintf("waits with cursor %q", c))
	}
}
