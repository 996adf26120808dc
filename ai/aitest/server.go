package aitest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Options say how a server behaves. The zero Options are those of a provider on a good day.
type Options struct {
	// Key is the only key that is accepted. If it is empty, all are, and none is needed.
	Key string
	// Models are the only models that there are. If there are none, there is a model of every name.
	Models []string
	// Retired are models that are no more: asking for them is 404.
	Retired []string
	// Chunk is how many bytes of text are in one event; 0 means 24.
	Chunk int
	// First is how long the first byte of an answer takes, Delay what lies between two events.
	First, Delay time.Duration
	// Limit is what one key may ask for within a minute. It shows in headers, which count down.
	Limit Limit
	// Window is how many tokens of input a model reads, by estimate; what is longer is 400. 0 is no limit.
	Window int64
	// Chaos lets requests fail by chance.
	Chaos *Chaos
	// Seen is called after each request.
	Seen func(Call)
	// Keep keeps the requests for Server.Requests. A server that runs for long should not.
	Keep bool
}

// Limit is what one key may ask for within a minute, on one wire. 0 is no limit. Tokens are
// those of input, by estimate.
type Limit struct{ Requests, Tokens int64 }

// Server speaks the wires of the providers over HTTP: Anthropic's Messages, OpenAI's Responses
// and Chat Completions, Gemini's generateContent, each streamed and whole, and what Ollama has of them. What
// it answers is up to a model. GET /ledger tells what was asked, and what was paid.
type Server struct {
	// URL is where it listens, such as http://127.0.0.1:8089.
	URL string

	model  model.Model
	opts   Options
	http   *http.Server
	ledger ledger
	limits windows
	done   chan struct{} // closed when it no longer serves
	gone   context.Context
	close  context.CancelFunc
	failed error

	mu     sync.Mutex
	closed bool
	active sync.WaitGroup // requests that are being answered
}

// NewServer starts a server on a free port of the loopback interface until the test ends, and
// keeps its requests. Several options are an error.
func NewServer(t TB, m model.Model, o ...Options) *Server {
	t.Helper()
	var opts Options
	if len(o) > 0 {
		opts = o[0]
	}
	opts.Keep = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("aitest: %v", err)
		return nil
	}
	s, err := Serve(l, m, opts)
	if err != nil || len(o) > 1 {
		_ = l.Close()
		t.Fatalf("aitest: %v", errors.Join(err, tooMany(len(o))))
		return nil
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func tooMany(n int) error {
	if n > 1 {
		return fmt.Errorf("%d Options, where one is enough", n)
	}
	return nil
}

// Serve starts a server on l, which it closes in the end. Whoever can connect can ask: do not
// listen on an address of the network if the model costs something.
func Serve(l net.Listener, m model.Model, o Options) (*Server, error) {
	if o.Chunk == 0 {
		o.Chunk = 24
	}
	if o.Chaos != nil {
		c := *o.Chaos
		if err := c.check(); err != nil {
			return nil, err
		}
		o.Chaos = &c
	}
	s := &Server{URL: "http://" + l.Addr().String(), model: m, opts: o, done: make(chan struct{})}
	s.gone, s.close = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	for path, d := range map[string]dialect{
		"POST /v1/messages": anthropic{}, "POST /v1/responses": responses{}, "POST /v1/chat/completions": chat{}, "POST /v1beta/models/{call}": gemini{},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.serve(d, w, r) })
	}
	mux.HandleFunc("POST /", misled)
	mux.HandleFunc("GET /api/tags", s.tags)
	mux.HandleFunc("GET /v1/models", s.list)
	mux.HandleFunc("GET /ledger", s.showLedger)
	mux.HandleFunc("GET /{$}", s.hello)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return s.gone }}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed = err
		}
	}()
	return s, nil
}

// misled answers a request whose base URL has a version too many or too few.
func misled(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "there is no "+r.URL.Path+" here: the base URL of OpenAI ends in /v1, those of Anthropic and Gemini have no path", http.StatusNotFound)
}

// Close ends the server and all connections, and returns when every request has been told to Seen.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	defer s.active.Wait()
	s.close()
	err := s.http.Close()
	<-s.done
	return err
}

// Wait returns when the server has ended, and why: nil after Close.
func (s *Server) Wait() error {
	<-s.done
	return s.failed
}

// enter counts a request, unless the server has been closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.active.Add(1)
	}
	return !s.closed
}

// maxBody is the largest request, as at Anthropic.
const maxBody = 32 << 20

// serve answers one request on a wire.
func (s *Server) serve(d dialect, w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.active.Done()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	call := s.ledger.begin(d.name(), r, body)
	out := &reply{server: s, dialect: d, w: w, rc: http.NewResponseController(w), call: call, ctx: r.Context()}
	defer func() {
		out.settle()
		if s.opts.Seen != nil {
			s.opts.Seen(*call)
		}
		if out.abort {
			panic(http.ErrAbortHandler) // the connection ends without a word
		}
	}()
	if id := d.idHeader(); id != "" {
		w.Header().Set(id, call.RequestID)
	}
	if key := d.key(r.Header); s.opts.Key != "" && key != s.opts.Key {
		out.refuse(fault{status: http.StatusUnauthorized, text: "the key is not valid"})
		return
	}
	if err != nil {
		out.refuse(fault{status: http.StatusRequestEntityTooLarge, text: "the request is larger than 32 MiB"})
		return
	}
	q, err := d.decode(r, body)
	if err != nil {
		out.refuse(fault{status: http.StatusBadRequest, text: err.Error()})
		return
	}
	call.Model = q.Model
	if slices.Contains(s.opts.Retired, q.Model) || len(s.opts.Models) > 0 && !slices.Contains(s.opts.Models, q.Model) {
		out.refuse(fault{status: http.StatusNotFound, text: "model: " + q.Model})
		return
	}
	if s.opts.Keep {
		s.ledger.keep(Request{Wire: d.name(), Header: r.Header.Clone(), Body: body, Asked: q.Request})
	}
	out.asked = q
	if wait, ok := s.limits.take(d, r.Header, s.opts.Limit, estimate(q.Request), w.Header()); !ok {
		call.Fault = "limit"
		out.play(plan{status: http.StatusTooManyRequests, after: wait, text: "the limit of a minute is used up", request: q.Request})
		return
	}
	if n := estimate(q.Request); s.opts.Window > 0 && n > s.opts.Window {
		call.Fault = "window"
		out.refuse(fault{status: http.StatusBadRequest, tooLong: true, text: fmt.Sprintf("%d tokens > %d maximum", n, s.opts.Window)})
		return
	}
	luck := s.opts.Chaos.draw(call.Hash, call.nth)
	if p, ok := luck.before(q.Request); ok {
		call.Fault = luck.name
		out.play(p)
		return
	}
	p := planOf(r.Context(), s.model, q.Request)
	if luck.change(&p) {
		call.Fault = luck.name
	}
	out.play(p)
}

// Env is what the environment of a program must say so that its providers ask this server.
func (s *Server) Env() []string {
	key := s.opts.Key
	if key == "" {
		key = "fake"
	}
	return []string{
		"ANTHROPIC_BASE_URL=" + s.URL, "ANTHROPIC_API_KEY=" + key,
		"OPENAI_BASE_URL=" + s.URL + "/v1", "OPENAI_API_KEY=" + key,
		"GOOGLE_GEMINI_BASE_URL=" + s.URL, "GOOGLE_API_KEY=" + key,
		"OLLAMA_HOST=" + strings.TrimPrefix(s.URL, "http://"),
	}
}

// Getenv is an environment that has only Env in it, for ai.Config and for providers.
func (s *Server) Getenv(name string) string {
	for _, line := range s.Env() {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}
