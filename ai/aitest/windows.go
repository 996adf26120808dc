package aitest

import (
	"net/http"
	"sync"
	"time"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// windows count what each key has asked for within its minute, which begins with a request.
type windows struct {
	mu   sync.Mutex
	used map[string]*minute
}

type minute struct {
	end              time.Time
	requests, tokens int64
}

// maxKeys is how many keys are counted; beyond it those whose minute is over are forgotten.
const maxKeys = 1_000

// take counts a request, writes the headers, and says how long to wait if it is too much.
func (ws *windows) take(d dialect, in http.Header, l Limit, tokens int64, out http.Header) (time.Duration, bool) {
	if l == (Limit{}) {
		return 0, true
	}
	now := time.Now()
	key := d.name() + "\n" + d.key(in)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.used == nil {
		ws.used = map[string]*minute{}
	}
	if len(ws.used) >= maxKeys {
		for k, m := range ws.used {
			if now.After(m.end) {
				delete(ws.used, k)
			}
		}
	}
	m := ws.used[key]
	if m == nil || now.After(m.end) {
		m = &minute{end: now.Add(time.Minute)}
		ws.used[key] = m
	}
	rest := m.end.Sub(now)
	ok := (l.Requests == 0 || m.requests < l.Requests) && (l.Tokens == 0 || m.tokens == 0 || m.tokens+tokens <= l.Tokens)
	if ok {
		m.requests++
		m.tokens += tokens
	}
	wire.WriteHeadroom(out, d.name(), model.Headroom{
		Requests: model.Window{Limit: l.Requests, Remaining: max(0, l.Requests-m.requests), Reset: rest},
		Input:    model.Window{Limit: l.Tokens, Remaining: max(0, l.Tokens-m.tokens), Reset: rest},
	}, now)
	return rest, ok
}
