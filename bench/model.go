package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/sqlite"
)

// kind is what the offline model sorts texts into.
type kind string

func (kind) Values() []string { return []string{"invoice", "contract", "other"} }

// asked is the state of runs that ask models.
type asked struct{ N int }

// models is what a call of a model costs when it is recorded: beside the same request of a plain client of
// HTTP, in turn, to the same server, and beside two commits of one row to the same database; and what the conversation of an
// agent takes up.
func models(ctx context.Context, b *bench, s *section) error {
	n := pick(b.quick, 100, 2000)
	plain := s.metric("http", "a plain request over HTTP to the fake server and its offline model, p50", "ms")
	outside := s.metric("outside", "ai.Classify of the same text outside of a run, p50", "ms")
	plainCPU := s.metric("http.cpu", "CPU of a plain request, that of the server in this process included", "ms")
	wireCPU := s.metric("wire.cpu", "CPU of ai.Classify outside of a run above the plain request: what puts it on the wire, and reads it", "ms")
	measure := func(where place, raw rawCommits, id, name string) func(context.Context) error {
		inside := s.metric("inside"+id, "ai.Classify in a step, engine on "+name+", p50", "ms")
		over := s.metric("over"+id, "above the plain request, p50", "ms")
		commits := s.metric("commits"+id, "two commits of one row each, by one raw connection, p50", "ms")
		beyond := s.metric("beyond"+id, "above the plain request and the two commits, p50", "ms").goal(atMost(1))
		cpu := s.metric("cpu"+id, "CPU above the plain request, that of the database's driver included", "ms")
		return func(ctx context.Context) error {
			return raw(ctx, func(commit func() error) error {
				return where(ctx, func(o store.Opener) error {
					t, err := callsInTurn(ctx, o, n, overHTTP, commit)
					if err != nil {
						return err
					}
					plain.add(p50(t.took[0]))
					outside.add(p50(t.took[1]))
					inside.add(p50(t.took[2]))
					over.add(p50(t.took[2]) - p50(t.took[0]))
					commits.add(p50(t.took[3]))
					beyond.add(p50(t.took[2]) - p50(t.took[0]) - p50(t.took[3]))
					plainCPU.add(perCall(t.cpu[0], n))
					wireCPU.add(perCall(t.cpu[1]-t.cpu[0], n))
					cpu.add(perCall(t.cpu[2]-t.cpu[0], n))
					return nil
				})
			})
		}
	}
	onPostgres := measure(b.onPostgres, b.postgresCommits, "", "PostgreSQL")
	onSQLite := measure(b.onSQLite, b.sqliteCommits, ".sqlite", "SQLite")
	own := s.metric("cpu.own", "CPU of ai.Classify in a step above its model, engine in memory and no HTTP: what is the engine's own", "ms").goal(atMost(0.2))
	growth := s.metric("agent", "an agent of 100 turns with 4 KiB each: growth of the file on SQLite, of its messages as JSON", "%").goal(atMost(150))
	s.note("A call is two records, each durable before it goes on. Calls are alternated; their texts differ from one to the next. " +
		"What is above the plain request may be two commits and 1 ms: those of the same minute, by a connection that does nothing else.")
	return b.round(ctx, onPostgres, onSQLite, func(ctx context.Context) error {
		const times = 5
		var sum time.Duration
		for range times {
			t, err := callsInTurn(ctx, memory.New(), n, inProcess, func() error { return nil })
			if err != nil {
				return err
			}
			sum += t.cpu[2] - t.cpu[0]
		}
		own.add(perCall(sum, times*n))
		return nil
	}, func(ctx context.Context) error {
		return b.file(func(dir string) error {
			stored, said, err := longTalk(ctx, filepath.Join(dir, "bench.db"))
			growth.add(100 * float64(stored) / float64(said))
			return err
		})
	})
}

func perCall(d time.Duration, n int) float64 { return 1000 * d.Seconds() / float64(n) }

// rawCommits gives fn what commits two rows of the size of a call's records, one after the other.
type rawCommits func(ctx context.Context, fn func(commit func() error) error) error

const recordSize = 500 // bytes: a mark, an outcome

func (b *bench) postgresCommits(ctx context.Context, fn func(commit func() error) error) error {
	return b.withRawPostgres(ctx, func(connect func() (*pgx.Conn, error)) error {
		c, err := connect()
		if err != nil {
			return err
		}
		defer c.Close(context.WithoutCancel(ctx))
		return fn(twice(func(r *rowsOfRaw) error {
			_, err := c.Exec(ctx, rawInsert, r.ids, r.seqs, r.bodies)
			return err
		}))
	})
}

func (b *bench) sqliteCommits(ctx context.Context, fn func(commit func() error) error) error {
	return b.withRawSQLite(ctx, func(db *sql.DB) error {
		return fn(twice(func(r *rowsOfRaw) error {
			_, err := db.ExecContext(ctx, rawInsertSQLite, r.ids[0][:], r.seqs[0], time.Now().UnixMicro(), r.bodies[0])
			return err
		}))
	})
}

func twice(commit func(r *rowsOfRaw) error) func() error {
	rows := newRows(1, recordSize)
	return func() error {
		for range 2 {
			if err := rows.next(); err != nil {
				return err
			}
			if err := commit(rows); err != nil {
				return err
			}
		}
		return nil
	}
}

// turnsTaken are the times of calls that were made in turn: plain, outside of a run, in a step; and of two commits.
type turnsTaken struct {
	took [4][]time.Duration
	cpu  [4]time.Duration
}

func p50(list []time.Duration) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2].Seconds() * 1000
}

// road is how a model is asked: with a client, and plainly, once more for what the client has asked last.
type road func() (client *ai.Client, again func(ctx context.Context) error, end func() error, err error)

// overHTTP asks the offline model through the fake server.
func overHTTP() (*ai.Client, func(ctx context.Context) error, func() error, error) {
	rules, err := ai.Offline{}.Open("documents-1")
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	server, err := aitest.Serve(l, rules, aitest.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	seen := &listener{next: http.DefaultTransport}
	client, err := ai.New(ai.Config{Aliases: map[string]string{"smart": "openai:any"}, Getenv: server.Getenv, HTTP: &http.Client{Transport: seen}})
	end := func() error {
		server.Close()
		return nil
	}
	return client, seen.again, end, err
}

// inProcess asks the offline model itself.
func inProcess() (*ai.Client, func(ctx context.Context) error, func() error, error) {
	rules, err := ai.Offline{}.Open("documents-1")
	if err != nil {
		return nil, nil, nil, err
	}
	h := &here{Model: rules}
	client, err := ai.New(ai.Config{Providers: map[string]ai.Provider{"here": h}, Aliases: map[string]string{"smart": "here:rules"}})
	again := func(ctx context.Context) error {
		_, err := h.Model.Generate(ctx, &h.last, nil)
		return err
	}
	return client, again, func() error { return nil }, err
}

// here is a provider without a wire, which keeps the last request.
type here struct {
	ai.Model
	last ai.Request
}

func (h *here) Open(string) (ai.Model, error) { return h, nil }

func (h *here) Generate(ctx context.Context, r *ai.Request, on func(ai.Delta)) (*ai.Response, error) {
	h.last = *r
	return h.Model.Generate(ctx, r, on)
}

// callsInTurn makes so many calls of each kind from the body of one step, one after another.
func callsInTurn(ctx context.Context, o store.Opener, n int, way road, commit func() error) (out *turnsTaken, err error) {
	client, again, end, err := way()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	text := func(way string, i int) string {
		return fmt.Sprintf("Invoice no. %s-%04d\n\nTea     2   3.50   7.00\n\nTotal: 7.00 EUR\nPayment is due within 14 days.", way, i)
	}
	bare := ai.WithClient(ctx, client)
	if _, err := ai.Classify[kind](bare, "smart", text("first", 0)); err != nil {
		return nil, err
	}
	out = new(turnsTaken)
	w := durable.Define("asks", durable.Step("ask", func(ctx context.Context, a *asked) error {
		ways := []func(i int) error{
			func(int) error { return again(ctx) },
			func(i int) error { _, err := ai.Classify[kind](bare, "smart", text("outside", i)); return err },
			func(i int) error {
				_, err := ai.Classify[kind](ai.WithClient(ctx, client), "smart", text("inside", i))
				return err
			},
			func(int) error { return commit() },
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
// there are in the messages of the conversation, which are all different.
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
			text, err := json.Marshal(m)
			if err != nil {
				return err
			}
			said += int64(len(text))
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
