package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
)

// kind is what the offline model sorts texts into.
type kind string

func (kind) Values() []string { return []string{"invoice", "contract", "other"} }

// asked is the state of runs that ask models.
type asked struct{ N int }

// models is what a call of a model costs when it is recorded: beside the same request of a plain client of
// HTTP, in turn, to the same server; and what the conversation of an agent takes up.
func models(ctx context.Context, b *bench, s *section) error {
	n := pick(b.quick, 100, 400)
	plain := s.metric("http", "a plain request over HTTP to the fake server and its offline model, p50", "ms")
	outside := s.metric("outside", "ai.Classify of the same text outside of a run, p50", "ms")
	plainCPU := s.metric("http.cpu", "CPU of a plain request, that of the server in this process included", "ms")
	measure := func(where place, id, name string) func(context.Context) error {
		inside := s.metric("inside"+id, "ai.Classify in a step, engine on "+name+", p50", "ms")
		over := s.metric("over"+id, "above the plain request, p50", "ms")
		cpu := s.metric("cpu"+id, "CPU above the plain request", "ms")
		return func(ctx context.Context) error {
			return where(ctx, func(o store.Opener) error {
				t, err := callsInTurn(ctx, o, n)
				if err != nil {
					return err
				}
				plain.add(p50(t.took[0]))
				outside.add(p50(t.took[1]))
				inside.add(p50(t.took[2]))
				over.add(p50(t.took[2]) - p50(t.took[0]))
				plainCPU.add(1000 * t.cpu[0].Seconds() / float64(n))
				cpu.add(1000 * (t.cpu[2] - t.cpu[0]).Seconds() / float64(n))
				return nil
			})
		}
	}
	onPostgres, onSQLite := measure(b.onPostgres, "", "PostgreSQL"), measure(b.onSQLite, ".sqlite", "SQLite")
	growth := s.metric("agent", "an agent of 100 turns with 4 KiB each: growth of the file on SQLite, of the sum of its distinct messages", "%")
	s.note("A call is two records, each durable before it goes on. Calls are alternated; their texts differ from one to the next.")
	return b.round(ctx, onPostgres, onSQLite, func(ctx context.Context) error {
		return b.file(func(dir string) error {
			stored, said, err := longTalk(ctx, filepath.Join(dir, "bench.db"))
			growth.add(100 * float64(stored) / float64(said))
			return err
		})
	})
}

// turnsTaken are the times of calls that were made in turn: plain, outside of a run, and in a step.
type turnsTaken struct {
	took [3][]time.Duration
	cpu  [3]time.Duration
}

func p50(list []time.Duration) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2].Seconds() * 1000
}

// callsInTurn makes so many calls of each kind from the body of one step, one after another.
func callsInTurn(ctx context.Context, o store.Opener, n int) (*turnsTaken, error) {
	rules, err := ai.Offline{}.Open("documents-1")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server, err := aitest.Serve(l, rules, aitest.Options{})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	seen := &listener{next: http.DefaultTransport}
	client, err := ai.New(ai.Config{Aliases: map[string]string{"smart": "openai:any"}, Getenv: server.Getenv, HTTP: &http.Client{Transport: seen}})
	if err != nil {
		return nil, err
	}
	text := func(way string, i int) string {
		return fmt.Sprintf("Invoice no. %s-%04d\n\nTea     2   3.50   7.00\n\nTotal: 7.00 EUR\nPayment is due within 14 days.", way, i)
	}
	bare := ai.WithClient(ctx, client)
	if _, err := ai.Classify[kind](bare, "smart", text("first", 0)); err != nil {
		return nil, err
	}
	out := new(turnsTaken)
	w := durable.Define("asks", durable.Step("ask", func(ctx context.Context, a *asked) error {
		ways := []func(i int) error{
			func(int) error { return seen.again(ctx) },
			func(i int) error { _, err := ai.Classify[kind](bare, "smart", text("outside", i)); return err },
			func(i int) error {
				_, err := ai.Classify[kind](ai.WithClient(ctx, client), "smart", text("inside", i))
				return err
			},
		}
		for i := range n + n/10 {
			for k, way := range ways {
				began, before := time.Now(), cpuTime()
				if err := way(i); err != nil {
					return err
				}
				if i >= n/10 { // the first warm it up
					out.took[k] = append(out.took[k], time.Since(began))
					out.cpu[k] += cpuTime() - before
				}
			}
		}
		a.N = n
		return nil
	}))
	err = withEngine(o, 1, func(e *durable.Engine) error { return ask(ctx, e, w) }, w)
	return out, err
}

// ask starts a run and waits for its end.
func ask(ctx context.Context, e *durable.Engine, w *durable.Workflow[asked]) error {
	r, err := w.Start(ctx, e, asked{})
	if err != nil {
		return err
	}
	a, err := r.Wait(ctx)
	if err == nil && a.N == 0 {
		err = errors.New("the run has asked nothing")
	}
	return err
}

// listener keeps the last request, to be sent again by a plain client.
type listener struct {
	next   http.RoundTripper
	url    string
	header http.Header
	body   []byte
}

func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.body == nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		l.url, l.header, l.body = r.URL.String(), r.Header.Clone(), body
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return l.next.RoundTrip(r)
}

func (l *listener) again(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(l.body))
	if err != nil {
		return err
	}
	r.Header = l.header
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "invoice")) {
		err = fmt.Errorf("the server says %s", resp.Status)
	}
	return err
}

// reader is a model that asks for a page in each turn, and has enough after so many turns.
type reader struct{ turns int }

func (m reader) Open(string) (ai.Model, error) { return m, nil }

func (m reader) Generate(_ context.Context, r *ai.Request, _ func(ai.Delta)) (*ai.Response, error) {
	turn := (len(r.Messages) + 1) / 2
	message := ai.Message{Role: ai.Assistant, Text: "That is all."}
	stop := ai.StopEnd
	if turn < m.turns {
		message = ai.Message{Role: ai.Assistant, Calls: []ai.ToolCall{{ID: fmt.Sprint("call_", turn), Name: "page", Args: fmt.Appendf(nil, `{"n":%d}`, turn)}}}
		stop = ai.StopTools
	}
	return &ai.Response{Message: message, Stop: stop, Usage: ai.Usage{Input: 1, Output: 1}}, nil
}

// longTalk runs an agent of 100 turns that reads pages of 4 KiB, and returns by how many bytes the file grew, and how many
// there are in the distinct messages of the conversation.
func longTalk(ctx context.Context, path string) (stored, said int64, err error) {
	const turns, size = 100, 4 << 10
	client, err := ai.New(ai.Config{Providers: map[string]ai.Provider{"bench": reader{turns}}})
	if err != nil {
		return 0, 0, err
	}
	page := ai.NewTool("page", "reads a page", func(context.Context, struct {
		N int `json:"n"`
	},
	) (string, error) {
		return base64.StdEncoding.EncodeToString(random(size * 3 / 4)), nil
	}, ai.ReadOnly())
	w := durable.Define("talk", durable.Step("talk", func(ctx context.Context, a *asked) error {
		agent := ai.Agent{Name: "a", Model: "bench:reader", System: "You read pages.", Tools: []ai.Tool{page}, MaxTurns: turns}
		r, err := agent.Run(ai.WithClient(ctx, client), "Read all pages.")
		if err != nil {
			return err
		}
		if a.N = r.Turns; a.N != turns {
			return fmt.Errorf("the agent took %d turns", a.N)
		}
		for _, m := range r.Messages {
			said += int64(len(m.Text))
			for _, c := range m.Calls {
				said += int64(len(c.ID) + len(c.Name) + len(c.Args))
			}
		}
		return nil
	}))
	before := int64(0)
	if err := withEngine(sqlite.Open(path), 1, func(*durable.Engine) error { return nil }, w); err != nil {
		return 0, 0, err
	}
	if before, err = checkpointed(path); err != nil {
		return 0, 0, err
	}
	if err := withEngine(sqlite.Open(path), 1, func(e *durable.Engine) error { return ask(ctx, e, w) }, w); err != nil {
		return 0, 0, err
	}
	after, err := checkpointed(path)
	return after - before, said, err
}
