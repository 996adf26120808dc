//go:build fail

package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

// tale is a text that was told while it was made.
type tale struct {
	Pieces int    `json:"pieces"`
	Every  int    `json:"every"` // milliseconds
	Text   string `json:"text"`
}

// tells streams a text in pieces, and records it: another one each time that it begins.
func tells(l *ledger) workload {
	w := durable.Define("tells", durable.Step("tell", watched(l, func(ctx context.Context, s *tale) (err error) {
		info, _ := durable.Info(ctx)
		s.Text, err = durable.Do(ctx, "tell", func(ctx context.Context) (string, error) {
			out, err := durable.Stream(ctx, "tale")
			if err != nil {
				return "", err
			}
			var text strings.Builder
			for i := range s.Pieces {
				piece := fmt.Sprintf("%d.%d é😀 ", info.Attempt, i)
				text.WriteString(piece)
				if _, err := out.Write([]byte(piece)); err != nil {
					return "", err
				}
				if err := pause(ctx, time.Duration(s.Every)*time.Millisecond); err != nil {
					return "", err
				}
			}
			return text.String(), out.End(text.String())
		})
		return err
	})))
	return load(w, step("tell"))
}

func (w *world) addTell(pieces, every int) *task {
	t := &task{workflow: "tells", input: tale{Pieces: pieces, Every: every}, want: into(func(s tale) string {
		if strings.Count(s.Text, "😀") != pieces {
			return "all pieces must be there"
		}
		return ""
	})}
	w.add(t)
	return t
}

// listener reads a stream in this process while others write it and die.
type listener struct {
	run    durable.ID
	after  int64
	text   string
	resets atomic.Int64
	chunks int
	err    error
}

// listen reads to the end; with back it comes back after each event.
func (l *listener) listen(ctx context.Context, e *durable.Engine, back bool) {
	for ended := false; !ended; {
		ended = true
		for x, err := range e.Stream(ctx, l.run, "tale", l.after) {
			if err != nil || x.Index <= l.after {
				l.err = fmt.Errorf("event %d after %d: %w", x.Index, l.after, err)
				return
			}
			l.after = x.Index
			switch x.Kind {
			case durable.StreamText:
				l.text += x.Text
				l.chunks++
			case durable.StreamReset:
				l.text = ""
				l.resets.Add(1)
			case durable.StreamEnd:
				if l.text = x.Text; x.Status != "" {
					l.err = fmt.Errorf("it ends as the run does, which is %s", x.Status)
				}
			}
			if back && x.Kind != durable.StreamEnd {
				ended = false
				break
			}
		}
	}
}

// LS-2, LS-3: workers are killed in the middle of what they tell, and others go on. Who listens in another process sees resets
// and no event twice, and ends with exactly what is recorded.
func TestStreamsOfTheKilled(t *testing.T) {
	t.Parallel()
	onStores(t, streamsOfTheKilled)
}

func streamsOfTheKilled(t *testing.T, fresh fresh) {
	w := fresh(t, seed(t))
	w.lease = 3 * lease
	var (
		engine *durable.Engine
		heard  []*listener
		all    sync.WaitGroup
		told   []*task
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	reset := func(l *listener) bool { return l.resets.Load() > 0 }
	for n := 0; n < max(cycles()/8, 3) || n < 20 && !slices.ContainsFunc(heard, reset); n++ { // until some have died in what they told
		fresh := []*task{w.addTell(36, 30), w.addTell(24, 50), w.addTell(60, 20)}
		told = append(told, fresh...)
		first, second := w.spawn(""), w.spawn("")
		w.until("all are acknowledged", func() bool { return !slices.ContainsFunc(w.tasks, func(x *task) bool { return !x.acked }) })
		if engine == nil {
			var err error
			if engine, err = durable.Open(ctx, opener(w.db(), w.schema), durable.Config{}); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = engine.Close() }()
		}
		for _, x := range fresh {
			for _, back := range []bool{false, true} {
				l := &listener{run: x.run}
				heard = append(heard, l)
				all.Go(func() { l.listen(ctx, engine, back) })
			}
		}
		w.killAt(first, 50*time.Millisecond, 350*time.Millisecond)
		w.killAt(second, 50*time.Millisecond, 350*time.Millisecond)
	}
	w.finish()
	all.Wait()
	texts := map[durable.ID]string{}
	for _, x := range told {
		run, err := engine.Execution(ctx, x.run)
		if err != nil {
			t.Fatal(err)
		}
		var s tale
		if err := json.Unmarshal(run.State, &s); err != nil {
			t.Fatal(err)
		}
		texts[x.run] = s.Text
	}
	resets, chunks := int64(0), 0
	for _, l := range heard {
		if l.err != nil || l.text != texts[l.run] || l.text == "" {
			t.Errorf("run %s: a listener ends with %q, %v; recorded is %q", l.run, l.text, l.err, texts[l.run])
		}
		resets, chunks = resets+l.resets.Load(), chunks+l.chunks
	}
	if resets == 0 || chunks == 0 {
		t.Errorf("%d resets and %d pieces were heard", resets, chunks)
	}
	if err := engine.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%s; %d listeners heard %d pieces and %d resets", w.verify(), len(heard), chunks, resets)
}
