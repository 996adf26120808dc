package demo

import (
	"context"
	"errors"
	"hash/fnv"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/offline"
)

// OfflineModel is the full name of the model that needs no key.
const OfflineModel = "offline:" + offline.Documents

// IsOffline says whether a model is the one that StandIn is for.
func IsOffline(model string) bool { return strings.HasPrefix(model, "offline:") }

// StandIn is the offline model behind a server on the loopback interface that behaves like a provider: it is asked over
// HTTP, takes its time, and at times refuses, breaks or stops in the middle of an answer.
type StandIn struct {
	*aitest.Server
	over chan struct{}
	once sync.Once
}

// Manners say how a StandIn behaves.
type Manners struct {
	Latency time.Duration     // longest time of an answer
	Faults  bool              // some requests fail
	Seed    uint64            // of the faults
	Seen    func(aitest.Call) // called after each request; it may be nil
}

// faults are few, and of every kind that a program gets over by itself. Each question fails once at most.
func (m Manners) faults() *aitest.Chaos {
	if !m.Faults {
		return nil
	}
	return &aitest.Chaos{
		Seed: m.Seed, RateLimited: 0.06, Overloaded: 0.06, Broken: 0.02, Cut: 0.06, Inside: 0.02,
		After: min(max(m.Latency/2, 50*time.Millisecond), time.Second), Forms: []aitest.Form{aitest.InMillis, aitest.InFraction}, Most: 1,
	}
}

// Serve starts a StandIn. It ends with Close.
func Serve(ctx context.Context, m Manners) (*StandIn, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &StandIn{over: make(chan struct{})}
	s.Server, err = aitest.Serve(l, &slow{offline.New(), m.Latency, s.over}, aitest.Options{Chaos: m.faults(), Seen: m.Seen})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// Close ends it; a second Close does nothing.
func (s *StandIn) Close() error {
	s.once.Do(func() { close(s.over) })
	return s.Server.Close()
}

// slow is a model that takes its time: from a quarter of it to all of it, always the same for the same question. It goes on
// when who has asked is gone, as providers do, who are paid for it.
type slow struct {
	ai.Model
	latency time.Duration
	over    <-chan struct{}
}

func (s *slow) Generate(ctx context.Context, r *ai.Request, on func(ai.Delta)) (*ai.Response, error) {
	h := fnv.New64a()
	for _, m := range r.Messages {
		_, _ = h.Write([]byte(m.Text))
	}
	_, _ = h.Write(r.Schema)
	t := time.NewTimer(s.latency/4 + time.Duration(h.Sum64()%1000)*s.latency*3/4/1000)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.over:
		return nil, errors.New("the server ends")
	}
	return s.Model.Generate(context.WithoutCancel(ctx), r, on)
}

// Through is a provider that asks a StandIn, on the wire of Anthropic's Messages.
func Through(url string) ai.Provider {
	return through{ai.Anthropic{
		BaseURL: url, KeyOptional: true, Getenv: func(string) string { return "" },
		HTTP: &http.Client{Transport: &courier{http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second}}},
	}}
}

type through struct{ wire ai.Anthropic }

func (t through) Open(name string) (ai.Model, error) {
	if _, err := (offline.Provider{}).Open(name); err != nil { // the server takes every name for its model
		return nil, err
	}
	m, err := t.wire.Open(name)
	return asked{m}, err
}

// asked is the model as it is seen from this side.
type asked struct{ ai.Model }

// Bucket names what slows down together.
func (asked) Bucket() string { return "offline" }

func (m asked) Generate(ctx context.Context, r *ai.Request, on func(ai.Delta)) (*ai.Response, error) {
	var n note
	resp, err := m.Model.Generate(context.WithValue(ctx, noteKey{}, &n), r, on)
	var e *ai.Error
	if errors.As(err, &e) {
		renamed := *e
		renamed.Provider = "offline"
		err = &renamed
	}
	if resp != nil {
		resp.Confidence, resp.Usage.Estimated = n.read(), true
	}
	return resp, err
}

// note is what an answer said beside its body.
type note struct {
	mu   sync.Mutex
	sure *float64
}

type noteKey struct{}

func (n *note) read() *float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sure
}

// courier carries what no wire has a place for: which step asks, so that the server's ledger can be held against the journal, and
// how sure the answer is.
type courier struct{ http.Transport }

func (c *courier) RoundTrip(r *http.Request) (*http.Response, error) {
	if info, ok := durable.Info(r.Context()); ok {
		r = r.Clone(r.Context())
		r.Header.Set("Idempotency-Key", info.Execution.String()+"/"+info.Path)
	}
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	n, _ := r.Context().Value(noteKey{}).(*note)
	if f, bad := strconv.ParseFloat(resp.Header.Get(aitest.ConfidenceHeader), 64); bad == nil && n != nil {
		n.mu.Lock()
		n.sure = &f
		n.mu.Unlock()
	}
	return resp, nil
}
