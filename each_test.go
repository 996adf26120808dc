package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

// ofPages is a board with pages 0 to n-1.
func ofPages(n int) board {
	var b board
	for i := range n {
		b.Pages = append(b.Pages, page{N: i})
	}
	return b
}

func pagesOf(b *board) []page { return b.Pages }

func intoPages(b *board, pages []page) { b.Pages = pages }

// read is a step of an item.
func read(name string, fn func(ctx context.Context, p *page) error) *durable.StepNode[page] {
	return durable.Step(name, fn)
}

func TestEA1_EveryItemOnItsOwnState(t *testing.T) {
	var asked tally
	w := durable.Define("w",
		durable.Each("pages", func(b *board) []page { asked.add("list"); return b.Pages },
			read("ocr", func(ctx context.Context, p *page) error { // the last ends first
				if err := rest(ctx, time.Duration(10-p.N)*time.Second); err != nil {
					return err
				}
				p.Text = fmt.Sprint("text ", p.N)
				return nil
			}),
			durable.Branch("kind", func(p *page) bool { return p.N%2 == 0 }).
				Case(true, read("even", func(_ context.Context, p *page) error { p.Text += " even"; return nil }))).
			Into(intoPages),
		set("end", func(b *board) { b.A = len(b.Pages) }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		asked.reset()
		run := durabletest.Start(e.Engine, w, ofPages(5))
		got := run.Done()
		for i, p := range got.Pages {
			want := fmt.Sprint("text ", i)
			if i%2 == 0 {
				want += " even"
			}
			if p.N != i || p.Text != want {
				t.Errorf("page %d is %+v, want %q", i, p, want)
			}
		}
		if got.A != 5 || asked.of("list") != 1 {
			t.Errorf("%+v, asked %d times", got, asked.of("list"))
		}
		if x, err := e.Execution(context.Background(), run.ID, durable.WithSteps); err != nil || !slices.Contains(steps(x), "pages[3]/ocr 1 done") {
			t.Errorf("%q, %v", steps(x), err)
		}
		if got := durabletest.Start(e.Engine, w, board{}).Done(); got.A != 0 || len(got.Pages) != 0 {
			t.Errorf("of no items: %+v", got)
		}
	})
}

func TestEA2_Concurrency(t *testing.T) {
	var running most
	w := durable.Define("w", durable.Each("pages", pagesOf,
		read("wait", func(ctx context.Context, p *page) error { // what waits counts, too
			if info, _ := durable.Info(ctx); info.Attempt == 1 && p.Text == "" {
				running.in()
			}
			return durable.Sleep(ctx, time.Minute)
		}),
		read("out", func(context.Context, *page) error { running.out(); return nil })).Concurrency(3))
	onStores(t, serve(w), func(t *testing.T, e env) {
		running = most{}
		run := durabletest.Start(e.Engine, w, ofPages(10))
		open := 0
		for range 40 {
			e.Sleep(10 * time.Second)
			waits, err := e.OpenWaits(context.Background(), run.ID)
			if err != nil {
				t.Fatal(err)
			}
			open = max(open, len(waits))
		}
		run.Done()
		if open != 3 {
			t.Errorf("%d items waited at once, want 3", open)
		}
	})
}

func TestEA3_DoneItemsNeverRunAgain(t *testing.T) {
	const n = 1000
	var bodies tally
	w := durable.Define("w", durable.Each("pages", pagesOf,
		read("one", func(ctx context.Context, p *page) error {
			bodies.add(fmt.Sprint(p.N))
			p.Text = "x"
			return rest(ctx, time.Second)
		})).Into(intoPages))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, ofPages(n))
		e.Sleep(60*time.Second + 500*time.Millisecond) // 10 slots: 600 are done
		done := map[string]bool{}
		for _, f := range e.facts(t, run.ID) {
			if f.Kind == journal.Done {
				done[strings.TrimSuffix(strings.TrimPrefix(f.Path, "pages["), "]/one")] = true
			}
		}
		if len(done) < 500 || len(done) > 700 {
			t.Fatalf("%d are done", len(done))
		}
		bodies.reset()
		e.Crash()
		if got := run.Done(); len(got.Pages) != n || got.Pages[n-1].Text != "x" {
			t.Errorf("%d pages", len(got.Pages))
		}
		for _, name := range bodies.all() {
			if done[name] {
				t.Errorf("item %s was done, and runs again", name)
			}
		}
		if again := len(bodies.all()) - (n - len(done)); again > 10 {
			t.Errorf("%d bodies too many", again)
		}
	})
}

func TestEA4_FailFastAndOutcomes(t *testing.T) {
	var ended tally
	item := func() *durable.StepNode[page] {
		return read("one", func(ctx context.Context, p *page) error {
			if p.N == 2 {
				p.Text = "never seen"
				return errors.Join(rest(ctx, time.Second), errFlaky)
			}
			err := rest(ctx, time.Minute)
			if err == nil {
				ended.add(fmt.Sprint(p.N))
				p.Text = "good"
			}
			return err
		})
	}
	fast := durable.Define("fast", durable.Each("pages", pagesOf, item()).Concurrency(4).Into(intoPages))
	settled := durable.Define("settled", durable.Each("pages", pagesOf, item()).IntoOutcomes(func(b *board, pages []durable.Outcome[page]) error {
		for i, o := range pages {
			if o.Err != nil {
				b.Trace = append(b.Trace, fmt.Sprintf("%d: %v", i, o.Err))
			} else {
				b.Trace = append(b.Trace, o.Value.Text)
			}
		}
		if b.In == 9 {
			return errors.New("too few")
		}
		return nil
	}))
	onStores(t, serve(fast, settled), func(t *testing.T, e env) {
		ended.reset()
		run := durabletest.Start(e.Engine, fast, ofPages(8))
		wantFailure(t, run.Fails(), durable.Failed, "error", "pages[2]/one")
		e.Sleep(5 * time.Minute)
		if len(ended.all()) != 0 {
			t.Errorf("%q ended although the run had failed", ended.all())
		}
		got := durabletest.Start(e.Engine, settled, ofPages(4)).Done()
		if len(got.Trace) != 4 || got.Trace[3] != "good" || !strings.Contains(got.Trace[2], "2: ") {
			t.Errorf("%q", got.Trace)
		}
		in := ofPages(1)
		in.In = 9
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, settled, in).Fails(), durable.Failed, "merge", "pages"), nil, "too few")
	})
}

func TestEA7_BadLists(t *testing.T) {
	var bodies tally
	w := durable.Define("w", durable.Each("pages", func(b *board) []page {
		if b.In == 1 {
			panic("no list")
		}
		return make([]page, b.A)
	}, read("one", func(context.Context, *page) error { bodies.add("one"); return nil })))
	type odd struct {
		F any `json:"f"`
	}
	o := durable.Define("o", durable.Each("odd", func(*board) []odd { return []odd{{1}, {nan()}} },
		durable.Step("one", func(context.Context, *odd) error { bodies.add("one"); return nil })))
	onStores(t, serve(w, o), func(t *testing.T, e env) {
		bodies.reset()
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, w, board{A: 1001}).Fails(), durable.Failed, "items", "pages"), nil, "1001", "1000")
		wantFailure(t, durabletest.Start(e.Engine, w, board{In: 1}).Fails(), durable.Failed, "items", "pages")
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, o, board{}).Fails(), durable.Failed, "items", "odd"), nil, "item 1")
		if len(bodies.all()) != 0 {
			t.Errorf("%d bodies began", len(bodies.all()))
		}
	})
}

// Everything nested in everything, killed after every commit.
func TestDF4_EA5_NestedCrashAfterEveryCommit(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		did := func(name string) *durable.StepNode[page] { return countedItem(&bodies, name) }
		w := durable.Define("w",
			durable.Parallel("p",
				durable.Sequence("items", durable.Each("pages", pagesOf,
					did("a"),
					durable.Parallel("q",
						durable.Sequence("sleeps", read("s", func(ctx context.Context, p *page) error {
							bodies.add("s")
							return durable.Sleep(ctx, unit)
						})),
						durable.Loop("l", func(p *page) bool { return p.N < 2 }, read("add", func(_ context.Context, p *page) error {
							bodies.add("add")
							p.N++
							return nil
						}))),
					durable.Branch("even", func(p *page) bool { return p.N == 2 }).Case(true, did("b")).Default(did("c"))).
					Concurrency(2).Into(intoPages)),
				asking(&bodies)),
			set("end", func(b *board) { bodies.add("end"); b.In++ }))
		return &weather[board]{flow: w, in: ofPages(3), bodies: &bodies, width: 10, cues: []cue{send("go", 5)}, end: func(b board, err error) error {
			return wantBoard(b, err, `{"in":1,"a":5,"b":"asked","pages":[{"n":2,"text":"ab"},{"n":2,"text":"ab"},{"n":2,"text":"ab"}]}`)
		}}
	})
}

// asking is a lane that waits for an event.
func asking(bodies *tally) durable.Node[board] {
	return durable.Sequence("asks", durable.Step("ask", func(ctx context.Context, b *board) error {
		bodies.add("ask")
		n, err := durable.WaitForEvent[int](ctx, "go")
		b.A = n
		return err
	}), set("asked", func(b *board) { bodies.add("asked"); b.B = "asked" }))
}

// wantBoard says what is wrong with a board in the end.
func wantBoard(b board, err error, want string) error {
	got, jerr := json.Marshal(b)
	if err != nil || jerr != nil || string(got) != want {
		return fmt.Errorf("%s, %w, %w, want %s", got, err, jerr, want)
	}
	return nil
}
