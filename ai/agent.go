package ai

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Agent asks a model, runs the tools that it asks for, and asks again with what came of them, until the model answers.
// Inside a step every turn and every call of a tool is recorded by its place, so an agent goes on where its process
// died: turns are paid once, and no tool runs twice that may not. An Agent is a plain value, and may be used by many.
type Agent struct {
	// Name is part of the names of all records. A run that is on its way keeps its turns also if the rest here changes: a
	// new System, other tools and another model act from the next turn on.
	Name string
	// Model is a name that configuration explains, or provider:name.
	Model string
	// System says who the agent is, and by which rules it works.
	System string
	// Tools are all that the model may ask for.
	Tools []Tool
	// MaxTurns is how often the model is asked for one prompt; 0: 10 times. It is also what ends an agent that
	// calls the same tool again and again: nothing else looks for that.
	MaxTurns int
	// Budget is what its turns may cost in one Run with all that continues it, and the agents that it has as tools. An
	// agent that is a tool counts when it is done, so give it a budget of its own, too. What does not fit waits for a person
	// to raise the budget. Waiting for approvals costs nothing. The zero Budget does not limit.
	Budget Budget
	// Options are for each turn: MaxTokens, Fallback, Effort and others.
	Options []Option
}

// AgentResult is what an agent has come to.
type AgentResult struct {
	Text     string    `json:"text"`     // the last answer
	Messages []Message `json:"messages"` // the conversation, the answer included
	Usage    Usage     `json:"usage"`    // of all turns, and of agents that were tools
	Cost     Cost      `json:"cost"`
	Turns    int       `json:"turns"` // how often the model was asked

	talk *conversation
	at   int // messages of it that this result knows
}

// The bounds of agents.
const (
	defaultTurns = 10
	maxTurns     = 1000
	agentCache   = 5 * time.Minute
)

// Run asks until there is an answer. It is to be called on the goroutine of the step's body, like all durable calls; outside
// of steps nothing is recorded, and tools that need a person's yes do not run: that is an error.
//
// After an error the result holds what there is of the conversation; it is nil if nothing was asked. An agent
// that has not answered in MaxTurns ends with an error of kind OutOfTurns. Two runs of agents with one name in a body
// are told apart by their order.
func (a Agent) Run(ctx context.Context, prompt string, opts ...Option) (*AgentResult, error) {
	v, err := a.start(ctx, nil, opts)
	if err != nil {
		return nil, err
	}
	if err := v.say(prompt); err != nil {
		return nil, err
	}
	return v.run(ctx)
}

// Continue goes on with the conversation: the model sees all that was said, and the prompt. It belongs into the step that
// has called Run, behind it, and is recorded as Run is. MaxTurns counts from here. Only the last result of
// a conversation can be continued. To go on in another step, give Messages to a new Run.
func (r *AgentResult) Continue(ctx context.Context, prompt string) (*AgentResult, error) {
	switch v := r.talk; {
	case v == nil:
		return nil, wrong("this result is not from Run: give its Messages to a new Run")
	case r.at != len(v.messages):
		return nil, wrong("the conversation has gone on since; continue its last result")
	}
	v := r.talk
	v.files = nil
	if err := v.say(prompt); err != nil {
		return nil, err
	}
	return v.run(ctx)
}

// wrong is a mistake of the code that no retry mends.
func wrong(format string, args ...any) error {
	return permanent(&Error{Kind: Invalid, Err: fmt.Errorf(format, args...)})
}

// conversation is an agent at work.
type conversation struct {
	agent   Agent
	client  *Client
	j       Journal
	info    StepInfo
	outside bool   // of a run: nobody can be asked
	label   string // the agent's name, numbered from the second on
	key     string // where idempotency keys come from

	set   *settings
	files []File // of the next prompt
	tools map[string]*tool
	defs  []ToolDef
	wants *wanted // an answer by tool; else nil

	messages []Message
	thread   thread
	purse    *purse // nil: no budget
	turn     int    // the last one
	pauses   int    // answers that did not end
	paid     expense
}

// expense is what an agent has spent, and those that it has as tools.
type expense struct {
	usage Usage
	cost  Cost
	calls int
}

func (s *expense) add(t expense) {
	s.usage, s.cost, s.calls = s.usage.Add(t.usage), s.cost.Add(t.cost), s.calls+t.calls
}

// start checks an agent and begins a conversation.
func (a Agent) start(ctx context.Context, w *wanted, opts []Option) (*conversation, error) {
	v := &conversation{agent: a, tools: make(map[string]*tool), wants: w}
	v.set = settle(slices.Concat(a.Options, opts))
	if err := v.check(); err != nil {
		return nil, err
	}
	var err error
	if v.client, err = clientOf(ctx); err != nil {
		return nil, err
	}
	if v.j = journalOf(ctx); v.j == nil {
		v.j, v.outside = direct{}, true
	}
	v.info = v.j.Info()
	if v.key = v.info.IdempotencyKey; v.outside {
		v.key = chanceKey()
	}
	if u := usingOf(ctx); u != nil {
		v.key = u.key
	}
	_, label := v.j.Scope(ctx, "agent:"+a.Name)
	v.label = a.Name
	if n := strings.TrimPrefix(label, "agent:"+a.Name+"~"); n != label {
		v.label += "#" + n
	}
	if a.Budget.limits() {
		v.purse = newPurse("agent "+v.label, a.Budget)
	}
	v.messages, v.files = slices.Clone(v.set.before), v.set.files
	return v, nil
}

// chanceKey is where keys come from outside of runs: there is one try of each call.
func chanceKey() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// check reports all that is wrong with an agent together.
func (v *conversation) check() error {
	s, a := v.set, v.agent
	if m := nameMistake(a.Name); m != "" {
		s.wrong("agent: %s", m)
	}
	if a.MaxTurns < 0 || a.MaxTurns > maxTurns {
		s.wrong("MaxTurns is %d; give a number from 1 to %d", a.MaxTurns, maxTurns)
	}
	if b := a.Budget; b.Money < 0 || b.Tokens < 0 || b.Calls < 0 || b.Fail && !b.limits() {
		s.wrong("Budget: give numbers above zero")
	}
	if s.system == "" {
		s.system = a.System
	}
	if s.cache == 0 {
		s.cache = agentCache
	}
	for _, c := range []struct {
		given bool
		text  string
	}{
		{s.repair != nil, "Repair is for objects"},
		{s.key != "", "Key is for calls; those of an agent are named by their place"},
		{s.render != nil, "Render is for calls"},
		{s.streamTo != "" && v.wants != nil, "StreamTo is for text, and the answer of RunFor is a call of a tool"},
	} {
		if c.given {
			s.wrong("%s", c.text)
		}
	}
	for i, t := range a.Tools {
		if t.t == nil {
			s.wrong("tool %d is empty; make it with NewTool", i+1)
			continue
		}
		for _, m := range t.t.mistakes {
			s.wrong("tool %s: %s", clip(t.t.name, 80), m)
		}
		v.declare(t.t)
	}
	if v.wants != nil {
		v.declare(v.wants.tool)
	}
	if len(s.mistakes) > 0 {
		return wrong("agent %s: %w", clip(a.Name, 80), errors.Join(s.mistakes...))
	}
	return nil
}

func (v *conversation) declare(t *tool) {
	if v.tools[t.name] != nil {
		v.set.wrong("two tools are named %s", t.name)
	}
	v.tools[t.name] = t
	v.defs = append(v.defs, ToolDef{Name: t.name, Description: t.description, Schema: t.schema})
}

// say adds a prompt to the conversation.
func (v *conversation) say(prompt string) error {
	if prompt == "" && len(v.files) == 0 {
		return wrong("agent %s: the prompt is empty", v.label)
	}
	next := append(slices.Clone(v.messages), Message{Role: User, Text: prompt, Files: v.files})
	if err := checkMessages(next); err != nil {
		return err
	}
	v.messages = next
	return nil
}

// result is what there is.
func (v *conversation) result() *AgentResult {
	r := &AgentResult{
		Messages: slices.Clone(v.messages), Usage: v.paid.usage, Cost: v.paid.cost, Turns: v.turn, talk: v, at: len(v.messages),
	}
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == Assistant {
		r.Text = r.Messages[n-1].Text
	}
	return r
}

// name is that of a record of this agent.
func (v *conversation) name(kind, at string) string {
	return fmt.Sprintf("agent:%s/%s[%s]", v.label, kind, at)
}

// request is what is asked next.
func (v *conversation) request() *call {
	k := v.set.call(v.agent.Model, v.messages)
	k.name, k.position, k.thread = v.name("turn", fmt.Sprint(v.turn)), true, &v.thread
	k.purse = v.purse
	k.whole = len(v.defs) > 0
	k.ends = func(stop Stop, _ string, calls int) bool { return calls == 0 && stop != StopPause }
	k.req.Tools = v.defs
	return k
}

// toolMessage is the result of a call.
func toolMessage(id, text string, failed bool) Message {
	return Message{Role: model.Tool, CallID: id, Text: text, Failed: failed}
}
