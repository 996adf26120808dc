package aitest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Call is one request to a server, and what became of it.
type Call struct {
	At        time.Time   `json:"at"`
	Wire      string      `json:"wire"`
	Model     string      `json:"model,omitempty"`
	Hash      string      `json:"hash"`            // of path and body: the same question has the same hash
	RequestID string      `json:"request_id"`      // as the client sees it
	For       string      `json:"for,omitempty"`   // what the client asks it for: its header Idempotency-Key, of which no provider takes notice
	Status    int         `json:"status"`          // 0: nothing was sent
	Fault     string      `json:"fault,omitempty"` // by chance or by the limit, not by the model
	Paid      bool        `json:"paid"`            // an answer was generated in full, whether or not it arrived
	Delivered bool        `json:"delivered"`       // all of the answer was sent
	Usage     model.Usage `json:"usage,omitzero"`  // of what was paid

	nth  int   // how often this hash was asked before
	slot *Call // what others see of it, under the ledger's lock; nil in there
}

// Request is a request as it came.
type Request struct {
	Wire   string
	Header http.Header // with the key in it
	Body   []byte
	Asked  *model.Request // as it was understood
}

// Ledger is the sum of all requests.
type Ledger struct {
	Requests  int            `json:"requests"`
	Paid      int            `json:"paid"`      // answers that were generated in full
	Delivered int            `json:"delivered"` // and sent in full
	Questions int            `json:"questions"` // different ones
	Faults    map[string]int `json:"faults,omitempty"`
	Statuses  map[int]int    `json:"statuses,omitempty"`
	Usage     model.Usage    `json:"usage"` // of what was paid
	// Twice are the hashes of questions whose answer was sent in full more than once: who asked
	// had the answer already, or died before keeping it.
	Twice []string `json:"twice,omitempty"`
	// Again are the hashes of those paid more than once because an answer did not arrive.
	Again []string `json:"again,omitempty"`
	// Untracked is how many different questions came after the first 100,000; they are
	// in none of the lists.
	Untracked int `json:"untracked,omitempty"`
}

const (
	maxQuestions = 100_000
	maxCalls     = 10_000 // kept by a server that does not keep requests
)

type count struct{ asked, paid, delivered int }

// ledger is kept by the server. Its zero value is empty.
type ledger struct {
	mu        sync.Mutex
	calls     []*Call // the last ones
	requests  []Request
	keeps     bool
	questions map[string]*count
	sum       Ledger
}

func (l *ledger) begin(wire string, r *http.Request, body []byte) *Call {
	sum := sha256.Sum256(append([]byte(r.URL.Path+"\n"), body...))
	c := &Call{At: time.Now(), Wire: wire, Hash: hex.EncodeToString(sum[:8]), For: r.Header.Get("Idempotency-Key")}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Requests++
	c.RequestID = fmt.Sprintf("req_%s%04d", c.Hash[:8], l.sum.Requests)
	if l.questions == nil {
		l.questions = map[string]*count{}
	}
	q := l.questions[c.Hash]
	if q == nil && len(l.questions) < maxQuestions {
		q = new(count)
		l.questions[c.Hash] = q
	}
	if q == nil {
		l.sum.Untracked++
	} else {
		c.nth = q.asked
		q.asked++
	}
	seen := *c
	c.slot = &seen
	l.calls = append(l.calls, c.slot)
	if !l.keeps && len(l.calls) > maxCalls {
		l.calls = slices.Delete(l.calls, 0, maxCalls/2)
	}
	return c
}

func (l *ledger) keep(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keeps = true
	l.requests = append(l.requests, r)
}

// end counts a call, before its last byte is sent: who has read it sees it in the ledger.
func (l *ledger) end(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := *c
	seen.slot = nil
	*c.slot = seen
	if l.sum.Faults == nil {
		l.sum.Faults, l.sum.Statuses = map[string]int{}, map[int]int{}
	}
	l.sum.Statuses[c.Status]++
	if c.Fault != "" {
		l.sum.Faults[c.Fault]++
	}
	if c.Paid {
		l.sum.Paid++
		l.sum.Usage = l.sum.Usage.Add(c.Usage)
	}
	if c.Delivered {
		l.sum.Delivered++
	}
	if q := l.questions[c.Hash]; q != nil && c.Paid {
		q.paid++
		if c.Delivered {
			q.delivered++
		}
	}
}

// lost takes back that a call was delivered, as its last byte could not be sent.
func (l *ledger) lost(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Delivered, c.slot.Delivered = false, false
	l.sum.Delivered--
	if q := l.questions[c.Hash]; q != nil {
		q.delivered--
	}
}

// Ledger sums up what was asked so far.
func (s *Server) Ledger() Ledger {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.sum
	out.Faults, out.Statuses = maps.Clone(l.sum.Faults), maps.Clone(l.sum.Statuses)
	out.Questions = len(l.questions)
	for _, hash := range slices.Sorted(maps.Keys(l.questions)) {
		switch q := l.questions[hash]; {
		case q.delivered > 1:
			out.Twice = append(out.Twice, hash)
		case q.paid > 1:
			out.Again = append(out.Again, hash)
		}
	}
	return out
}

// Calls are the requests in the order in which they came, also those that are not answered yet. A
// server that does not keep requests has only the last ones.
func (s *Server) Calls() []Call {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Call, len(l.calls))
	for i, c := range l.calls {
		out[i] = *c
	}
	return out
}

// Requests are the requests that were understood, if the server keeps them.
func (s *Server) Requests() []Request {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return slices.Clone(s.ledger.requests)
}

// showLedger is GET /ledger; with ?calls=1 it has the calls, too.
func (s *Server) showLedger(w http.ResponseWriter, r *http.Request) {
	out := struct {
		Ledger
		Calls []Call `json:"calls,omitempty"`
	}{Ledger: s.Ledger()}
	if r.URL.Query().Get("calls") != "" {
		out.Calls = s.Calls()
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(out)
}
