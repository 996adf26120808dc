package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// talker says its answers in pieces that end anywhere.
type talker struct {
	mu     sync.Mutex
	count  int
	answer func(n int, name string, r *model.Request) (*Response, error)
	every  time.Duration
	size   int
}

func (p *talker) Open(name string) (Model, error) { return talking{p, name}, nil }

type talking struct {
	p    *talker
	name string
}

func (m talking) Generate(ctx context.Context, r *model.Request, on func(Delta)) (*Response, error) {
	m.p.mu.Lock()
	m.p.count++
	resp, err := m.p.answer(m.p.count, m.name, r)
	m.p.mu.Unlock()
	if resp == nil {
		return nil, err
	}
	on(Delta{Thinking: "hm"})
	for text := resp.Message.Text; text != ""; text = text[min(m.p.size, len(text)):] {
		on(Delta{Text: text[:min(m.p.size, len(text))]})
		if err := sleep(ctx, m.p.every); err != nil {
			return nil, err
		}
	}
	if err != nil { // it is cut in the middle
		return nil, err
	}
	return resp, nil
}

// watcher reads the stream "answer" of a run to its end.
type watcher struct {
	text   string
	events []durable.StreamEvent
	err    error
	done   chan struct{}
}

func watch(e *durable.Engine, id durable.ID) *watcher {
	w := &watcher{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		last := int64(0)
		for x, err := range e.Stream(context.Background(), id, "answer", 0) {
			if err != nil || x.Index <= last {
				w.err = fmt.Errorf("event %d after %d: %w", x.Index, last, err)
				return
			}
			last = x.Index
			w.events = append(w.events, x)
			switch x.Kind {
			case durable.StreamText:
				w.text += x.Text
			case durable.StreamReset:
				w.text = ""
			case durable.StreamEnd:
				w.text = x.Text
			}
		}
	}()
	return w
}

// told is what it saw: kinds, with texts put together.
func (w *watcher) told() string {
	var out strings.Builder
	last := durable.StreamKind("")
	for _, x := range w.events {
		if x.Kind != last || x.Kind != durable.StreamText {
			fmt.Fprintf(&out, "|%s:", x.Kind)
		}
		out.WriteString(x.Text)
		last = x.Kind
	}
	return strings.TrimPrefix(out.String(), "|")
}

func withReader(t *testing.T, p Provider, w *durable.Workflow[doc], test func(t *testing.T, e *durabletest.Engine, reader *durable.Engine)) {
	t.Helper()
	for name, opener := range map[string]store.Opener{"memory": memory.New(), "sqlite": sqliteOpener(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := WithClient(context.Background(), newClient(t, Config{}, p))
			durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				reader, err := durable.Open(context.Background(), opener, durable.Config{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = reader.Close() })
				test(t, e, reader)
			}, durabletest.Context(ctx), durabletest.Store(opener))
		})
	}
}

const saying = "A text of some length — mit Umlauten äöü, 汉字 and 😀 — that comes in pieces."

// Killed after every write, readers elsewhere end with exactly the recorded text, and OnDelta sees it too.
func TestLS3_LS4_AnswersKilledAfterEveryWrite(t *testing.T) {
	p := &talker{every: 70 * time.Millisecond, size: 7, answer: func(int, string, *model.Request) (*Response, error) { return answer(saying), nil }}
	heard := ""
	w := define(func(ctx context.Context, d *doc) error {
		heard = ""
		text, err := GenerateText(ctx, "smart", "speak", StreamTo("answer"), OnDelta(func(d Delta) { heard += d.Text }))
		d.Texts = append(d.Texts, text)
		return err
	})
	withReader(t, p, w, func(t *testing.T, e *durabletest.Engine, reader *durable.Engine) {
		resets := 0
		for n := 1; ; n++ {
			crashes := e.Crashes()
			e.CrashAfter(n)
			r := durabletest.Start(e, w, doc{}, durable.Key(fmt.Sprint(n)))
			v := watch(reader, r.ID)
			if got := r.Done(); got.Texts[0] != saying {
				t.Errorf("killed after write %d: %q", n, got.Texts)
			}
			<-v.done
			late := watch(reader, r.ID)
			<-late.done
			last := v.events[len(v.events)-1]
			if v.err != nil || v.text != saying || last.Status != "" || late.told() != "end:"+saying {
				t.Errorf("killed after write %d: a reader has %q, %v; who comes late %q", n, v.told(), v.err, late.told())
			}
			resets += strings.Count(v.told(), "reset:")
			if heard != "" && heard != saying {
				t.Errorf("OnDelta saw %q", heard)
			}
			if e.Crashes() == crashes {
				if n < 8 || resets < 3 {
					t.Errorf("it took %d writes, with %d resets", n, resets)
				}
				break
			}
		}
	})
}

func TestLS2_ResetsOfTries(t *testing.T) {
	cut := &Error{Kind: Transient, Status: 529}
	for name, c := range map[string]struct {
		answer func(n int, name string, r *model.Request) (*Response, error)
		ask    func(ctx context.Context) (string, error)
		want   string
	}{
		"cut, and again": {
			func(n int, _ string, _ *model.Request) (*Response, error) {
				if n == 1 {
					return answer("half a te"), cut
				}
				return answer("a text"), nil
			},
			func(ctx context.Context) (string, error) { return GenerateText(ctx, "smart", "x", StreamTo("answer")) },
			"text:half a te|reset:|text:a text|end:a text",
		},
		"another model": {
			func(_ int, name string, _ *model.Request) (*Response, error) {
				if name == "one" {
					return &Response{Message: Message{Text: "I will not"}, Stop: StopRefused}, nil
				}
				return answer("a text"), nil
			},
			func(ctx context.Context) (string, error) {
				return GenerateText(ctx, "smart", "x", Fallback("fake:two"), StreamTo("answer"))
			},
			"text:I will not|reset:|text:a text|end:a text",
		},
		"an object that does not fit": {
			func(n int, _ string, _ *model.Request) (*Response, error) {
				if n == 1 {
					return answer(`{"N":"no number"}`), nil
				}
				return answer(`{"N":7}`), nil
			},
			func(ctx context.Context) (string, error) {
				v, err := GenerateObject[struct{ N int }](ctx, "smart", "x", StreamTo("answer"))
				return fmt.Sprint(v.N), err
			},
			`text:{"N":"no number"}|reset:|text:{"N":7}|end:{"N":7}`,
		},
		"an answer that pauses": {
			func(n int, _ string, _ *model.Request) (*Response, error) {
				if n == 1 {
					return &Response{Message: Message{Text: "one, "}, Stop: StopPause}, nil
				}
				return answer("two"), nil
			},
			func(ctx context.Context) (string, error) {
				r, err := Generate(ctx, "smart", []Message{{Role: User, Text: "x"}}, StreamTo("answer"))
				if err != nil {
					return "", err
				}
				return r.Message.Text, nil
			},
			"text:one, |reset:|text:one, two|end:one, two",
		},
		"a step that is tried again": {
			func(n int, _ string, _ *model.Request) (*Response, error) { return answer(fmt.Sprint("text ", n)), nil },
			func(ctx context.Context) (string, error) {
				text, err := GenerateText(ctx, "smart", "x", StreamTo("answer"))
				if text == "text 1" {
					return "", errors.New("not this one")
				}
				return text, err
			},
			"text:text 1|end:text 1",
		},
		"an agent": {
			func(n int, _ string, _ *model.Request) (*Response, error) {
				if n == 1 {
					r := answer("I look it up.")
					r.Message.Calls, r.Stop = []model.ToolCall{{ID: "1", Name: "look", Args: json.RawMessage(`{}`)}}, StopTools
					return r, nil
				}
				return answer("It is so."), nil
			},
			func(ctx context.Context) (string, error) {
				look := NewTool("look", "looks", func(context.Context, struct{}) (string, error) { return "seen", nil }, ReadOnly())
				r, err := Agent{Name: "a", Model: "smart", Tools: []Tool{look}}.Run(ctx, "x", StreamTo("answer"))
				if err != nil {
					return "", err
				}
				return r.Text, nil
			},
			"text:I look it up.|reset:|text:It is so.|end:It is so.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &talker{every: 110 * time.Millisecond, size: 3, answer: c.answer}
			w := durable.Define("w", durable.Step("s", func(ctx context.Context, d *doc) error {
				text, err := c.ask(ctx)
				if err == nil {
					d.Texts = []string{text}
				}
				return err
			}).Retry(durable.Retry{MaxAttempts: 2}))
			ctx := WithClient(context.Background(), newClient(t, Config{}, p))
			durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				r := durabletest.Start(e, w, doc{})
				v := watch(e.Engine, r.ID)
				got := r.Done()
				<-v.done
				if v.err != nil || v.told() != c.want {
					t.Errorf("a reader saw\n%s, %v; want\n%s", v.told(), v.err, c.want)
				}
				if last := v.events[len(v.events)-1]; name != "an object that does not fit" && name != "a step that is tried again" && got.Texts[0] != last.Text {
					t.Errorf("%q is recorded, and %q streamed", got.Texts[0], last.Text)
				}
			}, durabletest.Context(ctx))
		})
	}
}

// What cannot be streamed is not asked, and says why.
func TestLS6_StreamsThatCannotBe(t *testing.T) {
	p := &counted{answer: echoes}
	ctx := WithClient(t.Context(), newClient(t, Config{}, p))
	ask := func(ctx context.Context, name string) error {
		_, err := GenerateText(ctx, "smart", "x", StreamTo(name))
		return err
	}
	if err := ask(ctx, "answer"); !IsKind(err, Invalid) || !strings.Contains(err.Error(), "needs the step of a run") {
		t.Errorf("outside of a step: %v", err)
	}
	if err := step().Run(ctx, func(ctx context.Context) error { return ask(ctx, "answer") }); !IsKind(err, Invalid) {
		t.Errorf("with a journal that has no streams: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", 201), "\xff", "a\nb"} {
		if err := ask(ctx, name); !IsKind(err, Invalid) || !strings.Contains(err.Error(), "StreamTo: give a name") {
			t.Errorf("the name %q: %v", name, err)
		}
	}
	var errs []error
	w := define(func(ctx context.Context, _ *doc) error {
		_, _, err := RunFor[struct{ N int }](ctx, Agent{Name: "a", Model: "smart"}, "x", StreamTo("answer"))
		errs = append(errs, err)
		for i := range 1000 {
			if _, err := durable.Stream(ctx, fmt.Sprint("stream ", i)); err != nil {
				return err
			}
		}
		errs = append(errs, ask(ctx, "answer"))
		return nil
	})
	durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		durabletest.Start(e, w, doc{}).Done()
	}, durabletest.Context(ctx))
	for i, want := range []string{"the answer of RunFor is a call of a tool", "1000 streams already"} {
		if !IsKind(errs[i], Invalid) || !strings.Contains(errs[i].Error(), want) {
			t.Errorf("%v, want %q", errs[i], want)
		}
	}
	if p.count() > 0 {
		t.Errorf("%d requests were sent", p.count())
	}
}

// A stream adds nothing to what is recorded of a call, and changes not its name: it may come and go with a deploy.
func TestLS6_RecordsAreThoseWithout(t *testing.T) {
	p := &talker{size: 5, answer: func(int, string, *model.Request) (*Response, error) { return answer(saying), nil }}
	ctx := WithClient(t.Context(), newClient(t, Config{}, p))
	calls := func(opts ...Option) (names []string, rows int) {
		w := define(func(ctx context.Context, _ *doc) error {
			_, err := GenerateText(ctx, "smart", "x", opts...)
			return err
		})
		opener := memory.New()
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			r := durabletest.Start(e, w, doc{})
			r.Done()
			x, err := e.Execution(context.Background(), r.ID, durable.WithCalls)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range x.Steps[0].Calls {
				names = append(names, c.Name)
			}
			s, err := opener.OpenStore(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			rec, err := s.Load(context.Background(), r.ID, true)
			if err != nil {
				t.Fatal(err)
			}
			rows = len(rec.Rows)
		}, durabletest.Context(ctx), durabletest.Store(opener))
		return names, rows
	}
	with, rowsWith := calls(StreamTo("answer"))
	without, rowsWithout := calls()
	if !slices.Equal(with, without) || rowsWith != rowsWithout {
		t.Errorf("%q in %d rows, without a stream %q in %d", with, rowsWith, without, rowsWithout)
	}
}
