package ai

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// toolMark is recorded before a tool begins.
type toolMark struct {
	Tool string `json:"tool"`
	Args string `json:"args"` // hash
	At   int64  `json:"at"`   // microseconds
}

// toolOutcome is what became of a call: a message for the model, an error that stopped the agent, or nobody knows.
type toolOutcome struct {
	Result   string `json:"result,omitempty"`  // hash of the message
	Refused  bool   `json:"refused,omitempty"` // it was not run
	Doubt    bool   `json:"doubt,omitempty"`   // it was begun, and nobody knows whether it happened
	Fatal    string `json:"fatal,omitempty"`
	Stopped  bool   `json:"stopped,omitempty"`  // by a person, who did not know either
	Failures int    `json:"failures,omitempty"` // of the step, when that was recorded
	At       int64  `json:"at"`

	Usage *Usage `json:"usage,omitempty"` // of agents that it ran
	Cost  *Cost  `json:"cost,omitempty"`
	Calls int    `json:"calls,omitempty"`
}

func (m *toolMark) whole() error {
	if m.Tool == "" || m.Args == "" {
		return errors.New("it says not which call began")
	}
	return nil
}

func (o *toolOutcome) whole() error {
	if o.Result == "" && o.Fatal == "" && !o.Doubt && !o.Stopped {
		return errors.New("it says not what became of the call")
	}
	return nil
}

// togetherAtOnce is how many tools of one turn run beside each other.
const togetherAtOnce = 8

// execute runs those calls of a turn that are to run now. What runs by itself runs together; what writes, or runs in the
// body, runs alone, when all before it are done.
func (v *conversation) execute(ctx context.Context, uses []*use, now func(*use) bool) error {
	var group []*use
	flush := func() error {
		err := v.together(ctx, group)
		group = nil
		return err
	}
	for _, u := range uses {
		switch {
		case u.done || !now(u):
		case u.refused != "" || u.tool.inline || u.tool.writes:
			if err := flush(); err != nil {
				return err
			}
			if err := v.alone(ctx, u); err != nil {
				return err
			}
		default:
			group = append(group, u)
		}
	}
	return flush()
}

// alone runs one call.
func (v *conversation) alone(ctx context.Context, u *use) error {
	switch {
	case u.refused != "":
		return v.record(ctx, u, func(context.Context) (*toolOutcome, string, error) {
			return &toolOutcome{Refused: true}, u.refused, nil
		})
	case u.tool.inline:
		return v.inBody(ctx, u)
	}
	return v.together(ctx, []*use{u})
}

// ended is how the function of one tool ended.
type toolEnd struct {
	u      *use
	text   string
	err    error
	panics any
	stack  []byte
}

// together runs calls on goroutines of their own, at most so many at once, and records each when it ends. Each is
// marked right before it begins.
func (v *conversation) together(ctx context.Context, group []*use) error {
	inner, stop := context.WithCancel(ctx)
	ends := make(chan toolEnd)
	running := 0
	defer func() { // whoever started goroutines waits for them, also if the body ends here
		stop()
		for ; running > 0; running-- {
			<-ends
		}
	}()
	for len(group) > 0 || running > 0 {
		for len(group) > 0 && running < togetherAtOnce {
			u := group[0]
			group = group[1:]
			due, err := v.ready(ctx, u)
			if err != nil {
				return err
			}
			if due {
				running++
				go v.call(inner, u, ends)
			}
		}
		if running == 0 {
			continue
		}
		end := <-ends
		running--
		if end.panics != nil {
			panic(fmt.Sprintf("tool %s of agent %s: %v\n%s", end.u.tool.name, v.label, end.panics, end.stack))
		}
		if err := v.record(ctx, end.u, func(context.Context) (*toolOutcome, string, error) { return v.outcome(end) }); err != nil {
			return err
		}
	}
	return nil
}

// call runs the function of a tool.
func (v *conversation) call(ctx context.Context, u *use, ends chan<- toolEnd) {
	end := toolEnd{u: u, err: errors.New("the function ended its goroutine without returning")}
	defer func() {
		if end.panics = recover(); end.panics != nil {
			end.stack = debug.Stack()
		}
		ends <- end
	}()
	ctx = v.inside(ctx, u, nil)
	if u.tool.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, u.tool.timeout, fmt.Errorf("the tool took longer than %s", u.tool.timeout))
		defer stop()
	}
	end.text, end.err = u.tool.call(ctx, u.args)
	if end.err != nil && ctx.Err() != nil {
		end.err = fmt.Errorf("%w: %w", context.Cause(ctx), end.err)
	}
}

// inside is the context of a tool's function.
func (v *conversation) inside(ctx context.Context, u *use, paid *expense) context.Context {
	key := hashOf([]byte(fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%s", v.key, v.label, u.at(), u.name, u.args)))
	return context.WithValue(ctx, usingKey{}, &using{key: key[:32], label: v.label, at: u.at(), paid: paid})
}

// outcome is what a function's end comes to. It is asked for by a Do, which refuses when the context is over: what was cut
// off has no outcome.
func (v *conversation) outcome(end toolEnd) (*toolOutcome, string, error) {
	if end.err == nil {
		return &toolOutcome{}, end.text, nil
	}
	if misused(end.err) {
		return nil, "", permanent(fmt.Errorf("ai: tool %s: %w: make the tool Inline", end.u.tool.name, end.err))
	}
	var f *fatalError
	if errors.As(end.err, &f) {
		return &toolOutcome{Fatal: valid(clip(end.err.Error(), maxErrorText)), Failures: v.info.Failures}, "", nil
	}
	return &toolOutcome{}, "", &told{end.err.Error()}
}

// told is an error that the model is told.
type told struct{ text string }

func (e *told) Error() string { return e.text }

// ready marks a call, and says whether it is due: else it has its result, from the records.
func (v *conversation) ready(ctx context.Context, u *use) (due bool, err error) {
	name := v.name("tool", u.at())
	for {
		known, fresh := v.j.Recorded(ctx, name), u.tool.readOnly
		var began time.Time
		if v.j.Recorded(ctx, name+"/try") || !known && !fresh {
			if fresh, began, err = v.mark(ctx, name, u); err != nil {
				return false, err
			}
		}
		if !known && (fresh || u.tool.readOnly || u.tool.idempotent) {
			return true, nil
		}
		o, err := v.read(ctx, u, func(context.Context) (*toolOutcome, string, error) { return &toolOutcome{Doubt: true}, "", nil })
		switch {
		case err != nil || u.done:
			return false, err
		case o.Doubt:
			if err := v.resolve(ctx, u, began); err != nil || u.done {
				return false, err
			}
		case o.Failures >= v.info.Failures: // else it has ended an earlier attempt
			return false, v.stopped(u, o)
		}
	}
}

// stopped is the error that ends the agent.
func (v *conversation) stopped(u *use, o *toolOutcome) error {
	if o.Stopped {
		return permanent(fmt.Errorf("ai: tool %s of agent %s (%s): nobody knows whether it has happened, and a person has stopped the agent", u.name, v.label, u.at()))
	}
	return fmt.Errorf("ai: tool %s of agent %s (%s): %s", u.name, v.label, u.at(), o.Fatal)
}

// mark records that a tool begins. fresh says that it did not before.
func (v *conversation) mark(ctx context.Context, name string, u *use) (fresh bool, began time.Time, err error) {
	m, err := record(ctx, v.j, name+"/try", func(context.Context) (*toolMark, error) {
		fresh = true
		return &toolMark{u.name, argsHash(u.name, u.args), time.Now().UnixMicro()}, nil
	})
	if err != nil {
		return false, time.Time{}, ended(ctx, err)
	}
	return fresh, time.UnixMicro(m.At), nil
}

// record makes an outcome durable, and reads it as it will be read later.
func (v *conversation) record(ctx context.Context, u *use, fn func(context.Context) (*toolOutcome, string, error)) error {
	o, err := v.read(ctx, u, fn)
	if err == nil && !u.done {
		return v.stopped(u, o)
	}
	return err
}

// read returns the next outcome of a call, which fn makes if it is not recorded. An outcome with a result makes the call done.
func (v *conversation) read(ctx context.Context, u *use, fn func(context.Context) (*toolOutcome, string, error)) (*toolOutcome, error) {
	var own []byte
	name := v.name("tool", u.at())
	o, err := record(ctx, v.j, name, func(ctx context.Context) (*toolOutcome, error) {
		o, text, err := fn(ctx)
		var t *told
		failed := errors.As(err, &t)
		if failed {
			text = t.text
		} else if err != nil {
			return nil, err
		}
		o.At = time.Now().UnixMicro()
		if o.Fatal == "" && !o.Doubt && !o.Stopped {
			limit := defaultOutput
			if u.tool != nil {
				limit = u.tool.maxOutput
			}
			m := toolMessage(u.id, cut(text, limit), failed || o.Refused)
			own, _ = messageBodies(&m)
			if o.Result, err = v.j.Blob(ctx, own); err != nil {
				return nil, err
			}
		}
		return o, nil
	})
	if err != nil {
		return nil, ended(ctx, err)
	}
	if o.Result == "" {
		return o, nil
	}
	if own == nil || hashOf(own) != o.Result {
		if own, err = v.j.ReadBlob(ctx, o.Result); err != nil {
			return nil, fmt.Errorf("ai: the recorded result of %s cannot be read: %w", name, err)
		}
	}
	if u.result, err = readMessage(own, nil); err != nil {
		return nil, err
	}
	u.done = true
	return o, nil
}

// inBody runs an inline tool, unless it has its result. Its calls have names of their own, so it may be left out.
func (v *conversation) inBody(ctx context.Context, u *use) error {
	name := v.name("tool", u.at())
	inner, _ := v.j.Scope(ctx, name)
	if v.j.Recorded(ctx, name) {
		o, err := v.read(ctx, u, func(context.Context) (*toolOutcome, string, error) { panic("ai: a record is gone") })
		if err == nil {
			v.paySub(ctx, o.spent())
		}
		return err
	}
	paid := new(expense)
	end := toolEnd{u: u}
	end.text, end.err = u.tool.call(v.inside(inner, u, paid), u.args)
	var f *fatalError
	if errors.As(end.err, &f) { // not recorded: the next attempt runs it again
		return fmt.Errorf("ai: tool %s of agent %s (%s): %w", u.name, v.label, u.at(), f.err)
	}
	if err := v.record(ctx, u, func(context.Context) (*toolOutcome, string, error) {
		o, text, err := v.outcome(end)
		if o != nil && paid.calls > 0 {
			o.Usage, o.Cost, o.Calls = &paid.usage, &paid.cost, paid.calls
		}
		return o, text, err
	}); err != nil {
		return err
	}
	v.paySub(ctx, *paid)
	return nil
}

func (o *toolOutcome) spent() (s expense) {
	if o.Usage != nil {
		s.usage = *o.Usage
	}
	if o.Cost != nil {
		s.cost = *o.Cost
	}
	s.calls = o.Calls
	return s
}
