package ai

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// toolMark is recorded before a tool begins. What it says of the tool is what the code of that time says.
type toolMark struct {
	Tool     string `json:"tool"`
	Args     string `json:"args"`            // hash
	Given    string `json:"given,omitempty"` // hash of their JSON, where that is not as the model said it
	Key      string `json:"key,omitempty"`   // of idempotency; "": of older code
	Declared string `json:"declared,omitempty"`
	At       int64  `json:"at"` // microseconds
}

// What a mark says of how its tool was declared; older code says nothing.
const (
	declaredPlain      = "plain"
	declaredIdempotent = "idempotent"
	declaredInline     = "inline"
)

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
	if u.refused == "" && !u.tool.inline {
		return v.together(ctx, []*use{u})
	}
	b, err := v.look(ctx, u)
	if err != nil || b == nil {
		return err
	}
	if due, err := v.begin(ctx, b); err != nil || !due {
		return err
	}
	return v.inBody(ctx, u)
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
//
// Whoever waits ends the body, and with it what runs: so all that may wait is done before the first begins. After an error or a
// panic no more begin, and those that run are waited for: what one of them has done is recorded, and not in doubt.
func (v *conversation) together(ctx context.Context, group []*use) error {
	var open []*beginning
	for _, u := range group {
		b, err := v.look(ctx, u)
		if err != nil {
			return err
		}
		if b != nil {
			open = append(open, b)
		}
	}
	inner, stop := context.WithCancel(ctx)
	ends := make(chan toolEnd)
	running := 0
	defer func() { // whoever started goroutines waits for them, also if the body ends here
		stop()
		for ; running > 0; running-- {
			<-ends
		}
	}()
	var failed error
	var panicked *toolEnd
	for len(open) > 0 || running > 0 {
		for len(open) > 0 && running < togetherAtOnce && failed == nil && panicked == nil {
			var due bool
			if due, failed = v.begin(ctx, open[0]); due {
				running++
				go v.call(inner, open[0].u, ends)
			}
			open = open[1:]
		}
		if failed != nil || panicked != nil {
			open = nil
		}
		if running == 0 {
			continue
		}
		end := <-ends
		running--
		if end.panics != nil {
			panicked = cmp.Or(panicked, &end)
			continue
		}
		err := v.record(ctx, end.u, func(context.Context) (*toolOutcome, string, error) { return v.outcome(end) })
		failed = cmp.Or(failed, err)
	}
	if panicked != nil {
		panic(fmt.Sprintf("tool %s of agent %s: %v\n%s", panicked.u.tool.name, v.label, panicked.panics, panicked.stack))
	}
	return failed
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
	return context.WithValue(ctx, usingKey{}, &using{key: v.keyOf(u, u.args), label: v.label, at: u.at(), paid: paid})
}

// keyOf is the idempotency key of a call with those arguments.
func (v *conversation) keyOf(u *use, args []byte) string {
	return hashOf([]byte(fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%s", v.key, v.label, u.at(), u.name, args)))[:32]
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

// beginning is a call that is to begin.
type beginning struct {
	u    *use
	m    *toolMark // of a try to repeat; else nil
	bare int       // tries without a mark, of a tool that was ReadOnly
}

// look reads what the records know of a call, and resolves its doubt, for which it may wait: then it is to begin, or has its result, and is nil. What
// the records know comes before what the code says of the call now. So a call that was begun is never refused, nor run anew, because its
// tool has changed since.
func (v *conversation) look(ctx context.Context, u *use) (*beginning, error) {
	name := v.name("tool", u.at())
	for bare := 0; ; {
		var m *toolMark // of the try that was begun, if there is one
		var err error
		known := v.j.Recorded(ctx, name)
		if v.j.Recorded(ctx, name+"/try") {
			if m, err = v.mark(ctx, name, u); err != nil {
				return nil, err
			}
		}
		if !known && (m == nil || v.repeats(u, m)) {
			return &beginning{u, m, bare}, nil
		}
		o, err := v.read(ctx, u, func(context.Context) (*toolOutcome, string, error) { return &toolOutcome{Doubt: true}, "", nil })
		switch {
		case err != nil:
			return nil, err
		case u.done:
			v.paySub(ctx, o.spent())
			return nil, nil
		case o.Doubt:
			if err := v.resolve(ctx, u, m); err != nil || u.done {
				return nil, err
			}
		case o.Failures >= v.info.Failures: // else it has ended an earlier attempt
			return nil, v.stopped(u, o)
		}
		if m == nil {
			bare++
		}
	}
}

// begin marks a call, and says whether it is due; if it does not run, it records why. It waits for nobody. What changes nothing
// needs no mark. The nth mark is that of the nth outcome: those that have none get one first.
func (v *conversation) begin(ctx context.Context, b *beginning) (due bool, err error) {
	u := b.u
	if u.refused != "" {
		return false, v.record(ctx, u, func(context.Context) (*toolOutcome, string, error) {
			return &toolOutcome{Refused: true}, u.refused, nil
		})
	}
	if b.m != nil || u.tool.readOnly {
		return true, nil
	}
	for range b.bare + 1 {
		if _, err = v.mark(ctx, v.name("tool", u.at()), u); err != nil {
			return false, err
		}
	}
	return true, nil
}

// repeats says whether a call that was cut off may run again by itself: if it is still the same call, and its tool was and is one
// that may, or one that runs in the body.
func (v *conversation) repeats(u *use, m *toolMark) bool {
	if u.refused != "" || !v.same(u, m) {
		return false
	}
	switch m.Declared {
	case declaredPlain:
		return false
	case declaredInline:
		return u.tool.inline
	}
	return u.tool.readOnly || u.tool.idempotent
}

// same says whether a mark is that of a call as the code understands it now: so it has the same key.
func (v *conversation) same(u *use, m *toolMark) bool {
	return m.Args == argsHash(u.name, u.args) && (m.Key == "" || m.Key == v.keyOf(u, u.args))
}

// stopped is the error that ends the agent.
func (v *conversation) stopped(u *use, o *toolOutcome) error {
	if o.Stopped {
		return permanent(fmt.Errorf("ai: tool %s of agent %s (%s): nobody knows whether it has happened, and a person has stopped the agent", u.name, v.label, u.at()))
	}
	return fmt.Errorf("ai: tool %s of agent %s (%s): %s", u.name, v.label, u.at(), o.Fatal)
}

// mark records that a tool begins, or reads what was recorded of that.
func (v *conversation) mark(ctx context.Context, name string, u *use) (*toolMark, error) {
	m, err := record(ctx, v.j, name+"/try", func(ctx context.Context) (m *toolMark, err error) {
		m = &toolMark{Tool: u.name, Args: argsHash(u.name, u.args), Key: v.keyOf(u, u.args), Declared: declaredPlain, At: time.Now().UnixMicro()}
		switch {
		case u.tool.inline:
			m.Declared = declaredInline
		case u.tool.idempotent:
			m.Declared = declaredIdempotent
		}
		if !bytes.Equal(u.args, plainArgs(u.said)) { // as a person has edited them
			m.Given, err = v.j.Blob(ctx, u.args)
		}
		return m, err
	})
	return m, ended(ctx, err)
}

// begun are the arguments of a call when it was marked, and its key; "": not known any more.
func (v *conversation) begun(ctx context.Context, u *use, m *toolMark) (args []byte, key string, err error) {
	switch {
	case m.Given != "":
		if args, err = v.j.ReadBlob(ctx, m.Given); err != nil {
			return nil, "", fmt.Errorf("ai: the recorded arguments of %s cannot be read: %w", v.name("tool", u.at()), err)
		}
	case u.refused == "" && v.same(u, m):
		args = u.args
	default:
		args = plainArgs(u.said)
	}
	if key = m.Key; key == "" && m.Args == argsHash(u.name, args) {
		key = v.keyOf(u, args)
	}
	return args, key, nil
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

// inBody runs an inline tool that is due. Its calls have names of their own, so it may be left out.
func (v *conversation) inBody(ctx context.Context, u *use) error {
	inner, _ := v.j.Scope(ctx, v.name("tool", u.at()))
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
