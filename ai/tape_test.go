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

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/internal/schema"
)

// tape is a journal in memory that dies where a test says, and asks a test for the answers of people.
type tape struct {
	*Memory
	t *testing.T

	dies   func(key string, after bool) bool // asked right before and right after each record
	answer func(name string, q Question) any // what people say
	asked  []string                          // names of questions
	dead   int
}

func newTape(t *testing.T) *tape { return &tape{Memory: step(), t: t} }

func (p *tape) Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	key := ""
	v, err := p.Memory.Do(ctx, name, func(ctx context.Context) (json.RawMessage, error) {
		v, err := fn(ctx)
		key = name
		if err == nil && p.dies != nil && p.dies(key, false) {
			p.dead++
			p.stop(ErrKilled)
		}
		return v, err
	})
	if err == nil && key != "" && p.dies != nil && p.dies(key, true) {
		p.dead++
		p.stop(ErrKilled)
	}
	return v, err
}

func (p *tape) Ask(ctx context.Context, name string, q Question) (json.RawMessage, error) {
	if !slices.Contains(p.asked, name) {
		p.asked = append(p.asked, name)
	}
	if len(p.Answers) == 0 {
		n := len(p.Asked)
		defer func() {
			if len(p.Asked) > n { // it suspends
				p.reply(name, q)
			}
		}()
	}
	return p.Memory.Ask(ctx, name, q)
}

// reply keeps what people say for the next run of the body. What the question's schema refuses changes nothing.
func (p *tape) reply(name string, q Question) {
	if p.answer == nil {
		return
	}
	v := p.answer(name, q)
	if v == nil {
		return
	}
	raw, ok := v.(json.RawMessage)
	if !ok {
		raw = canonical(v)
	}
	if err := schema.Check(q.Schema, raw); err != nil {
		p.t.Errorf("the answer to %s is refused: %v", name, err)
	}
	p.Answers = append(p.Answers, raw)
}

// finish runs a body until it returns, however often it dies or waits.
func (p *tape) finish(ctx context.Context, body func(ctx context.Context) error) error {
	for range 1000 {
		err := p.Run(ctx, func(ctx context.Context) error { return body(WithJournal(ctx, p)) })
		if errors.Is(err, ErrWaiting) && len(p.Answers) == 0 {
			return err
		}
		if !errors.Is(err, ErrKilled) && !errors.Is(err, ErrWaiting) {
			return err
		}
	}
	return errors.New("it does not end")
}

// played is a provider whose model answers by how far the conversation is: line n for the nth answer. It counts what it is asked.
type played struct {
	mu    sync.Mutex
	lines []func(r *model.Request) Response
	asked map[int]int // requests for each turn
	last  []model.Request
}

func (p *played) Open(string) (Model, error) { return p, nil }

func (p *played) Generate(_ context.Context, r *model.Request, _ func(Delta)) (*Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range r.Messages {
		if m.Role == Assistant {
			n++
		}
	}
	if p.asked == nil {
		p.asked = map[int]int{}
	}
	p.asked[n+1]++
	p.last = append(p.last, *r)
	if n >= len(p.lines) {
		return nil, &Error{Kind: Invalid, Err: fmt.Errorf("turn %d was not in the script", n+1)}
	}
	resp := p.lines[n](r)
	resp.Message.Role = Assistant
	resp.Usage = Usage{Input: 10, Output: 5}
	return &resp, nil
}

func (p *played) requests() int {
	n := 0
	for _, k := range p.asked {
		n += k
	}
	return n
}

// speak is a line with a text.
func speak(text string) func(*model.Request) Response {
	return func(*model.Request) Response { return Response{Message: Message{Text: text}, Stop: StopEnd} }
}

// calls is a line that asks for tools: name, arguments, name, arguments.
func calls(pairs ...string) func(*model.Request) Response {
	return func(r *model.Request) Response {
		var list []ToolCall
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, ToolCall{ID: fmt.Sprintf("id%d-%d", len(r.Messages), i/2+1), Name: pairs[i], Args: json.RawMessage(pairs[i+1])})
		}
		return Response{Message: Message{Calls: list}, Stop: StopTools}
	}
}

func play(t *testing.T, lines ...func(*model.Request) Response) (*played, context.Context) {
	t.Helper()
	p := &played{lines: lines}
	c, err := New(Config{
		Providers: map[string]Provider{"fake": p}, Aliases: map[string]string{"smart": "fake:one"},
		Getenv: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, WithClient(t.Context(), c)
}

// texts are the results of tools in a conversation, by call.
func texts(msgs []Message) (list []string) {
	for _, m := range msgs {
		if m.Role == model.Tool {
			text := m.Text
			if m.Failed {
				text = "! " + text
			}
			list = append(list, text)
		}
	}
	return list
}

// effects counts what tools did.
type effects struct {
	mu   sync.Mutex
	done map[string]int
}

func (e *effects) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done == nil {
		e.done = map[string]int{}
	}
	e.done[what]++
}

func (e *effects) of(what string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.done[what]
}

func (e *effects) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []string
	for k, n := range e.done {
		list = append(list, fmt.Sprintf("%s:%d", k, n))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// approve says yes to everything in a question about approvals, but for what other says.
func approve(q Question, other map[string]Decision) map[string]Decision {
	all := q.Details.(ApprovalDetails).Approve()
	for call, d := range other {
		if d.Hash == "" {
			d.Hash = all[call].Hash
		}
		all[call] = d
	}
	return all
}
