package ai

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/schema"
)

// Tool is a Go function that a model may ask an agent to call. Make it with NewTool. The zero Tool is a mistake.
type Tool struct{ t *tool }

// tool is a tool without its types.
type tool struct {
	name, description string
	schema            []byte
	reader            *schema.Reader
	toolOptions
	mistakes []string

	check     func(args []byte) error // says what is wrong with arguments that fit the schema
	guarded   func(args []byte) bool  // a person must agree
	call      func(context.Context, []byte) (string, error)
	reconcile func(context.Context, []byte) (result string, happened bool, err error)
}

// ToolOption says how a tool may be used.
type ToolOption func(*toolOptions)

type toolOptions struct {
	readOnly, idempotent, writes, approve, inline bool

	approveIf, finds any // functions over the tool's types
	within, timeout  time.Duration
	maxOutput        int
	given            []string // options with a value, as often as they were given
}

// What tools may take and give.
const (
	defaultOutput = 64 << 10 // bytes of a result that the model gets to see
	maxOutput     = 1 << 20
	maxArgs       = 1 << 20  // bytes of arguments
	maxDepth      = 64       // of arguments, in brackets
	maxApproved   = 64 << 10 // bytes of arguments that a person can be asked about, in a turn
	maxCalls      = 100      // in a turn
)

// ReadOnly says that the tool changes nothing. If its process dies in it, it runs again.
func ReadOnly() ToolOption { return func(o *toolOptions) { o.readOnly = true } }

// Idempotent says that the tool may be called twice with the same IdempotencyKey and acts once. If its process
// dies in it, it runs again.
func Idempotent() ToolOption { return func(o *toolOptions) { o.idempotent = true } }

// Writes says that the tool changes something that matters: a person must agree to each call, unless ApproveIf says
// that this one needs nobody. Calls of such tools run one after another, in the model's order.
func Writes() ToolOption { return func(o *toolOptions) { o.writes = true } }

// Approve says that a person must agree to each call.
func Approve() ToolOption { return func(o *toolOptions) { o.approve = true } }

// ApproveIf says to which calls a person must agree. fn must be pure, and In the tool's. With Approve it has
// no effect.
func ApproveIf[In any](fn func(In) bool) ToolOption {
	return func(o *toolOptions) { o.approveIf, o.given = fn, append(o.given, "ApproveIf") }
}

// ApproveWithin is for how long a person may think; then the call counts as rejected. If several calls of a turn
// wait together, the shortest time is that of all. Without it the agent waits for as long as it takes.
func ApproveWithin(d time.Duration) ToolOption {
	return func(o *toolOptions) { o.within, o.given = d, append(o.given, "ApproveWithin") }
}

// Reconcile finds out whether a call that was cut off has happened, so that no person need be asked. If it has, out
// is its result; if not, the tool runs. IdempotencyKey is that of the call. An error is asked again later; after 5 of
// them a person is asked. In and Out must be the tool's.
func Reconcile[In, Out any](fn func(ctx context.Context, in In) (out Out, happened bool, err error)) ToolOption {
	return func(o *toolOptions) { o.finds, o.given = fn, append(o.given, "Reconcile") }
}

// Inline says that the tool runs in the body of the step itself: it may make durable calls, wait, and run other agents.
// Like a body its code runs again from the top after a wait or a crash, until its result is recorded; so
// what it does stands in durable calls. Those are made with the context that it is given.
func Inline() ToolOption { return func(o *toolOptions) { o.inline = true } }

// Timeout is how long one call may take. Then its context ends, and what it returns goes to the model. A function that
// does not look at its context is not stopped.
func Timeout(d time.Duration) ToolOption {
	return func(o *toolOptions) { o.timeout, o.given = d, append(o.given, "Timeout") }
}

// MaxOutput is how many bytes of a result the model sees; the rest is cut off, with a note. Without it: 64 KiB.
func MaxOutput(bytes int) ToolOption {
	return func(o *toolOptions) { o.maxOutput, o.given = bytes, append(o.given, "MaxOutput") }
}

// NewTool makes a tool of a function. In is a struct, or a map with string keys: its schema, from its JSON, is what the
// model is told; arguments that do not fit it exactly are refused, and if In has a method Validate() error, what that
// says is, too. Out is shown to the model as JSON, or as it is if it is a string. An error of fn is told to the model,
// which may try something else; Fatal stops the agent.
//
// A tool runs at least once for each call that the model makes. One that was begun when its process died, and that is
// neither ReadOnly nor Idempotent nor Inline, is in doubt: Reconcile finds out whether it happened, or a person is asked. That
// holds for what it was when it began, too, whatever it is since: code that has changed or removed the tool
// neither refuses such a call nor runs it again before that is known. fn must not make durable calls, unless the tool is Inline.
//
// Mistakes, as in the name or in In, are errors of the agent that has the tool.
func NewTool[In, Out any](name, description string, fn func(context.Context, In) (Out, error), opts ...ToolOption) Tool {
	t := &tool{name: name, description: description}
	for _, opt := range opts {
		if opt == nil {
			t.mistake("an option is nil")
			continue
		}
		opt(&t.toolOptions)
	}
	t.look(reflect.TypeFor[In](), fn == nil)
	t.check = func(args []byte) error {
		_, err := decodeArgs[In](args)
		return err
	}
	t.call = func(ctx context.Context, args []byte) (string, error) {
		in, err := decodeArgs[In](args)
		if err != nil {
			return "", err
		}
		out, err := fn(ctx, in)
		if err != nil {
			return "", err
		}
		return resultText(out)
	}
	t.guarded = func([]byte) bool { return t.writes || t.approve }
	if t.approveIf != nil {
		ask, ok := t.approveIf.(func(In) bool)
		if !ok || ask == nil {
			t.mistake("ApproveIf has a %T; give a func(%s) bool", t.approveIf, reflect.TypeFor[In]())
		}
		t.guarded = func(args []byte) bool {
			in, err := decodeArgs[In](args)
			return t.approve || err != nil || ask(in)
		}
	}
	if t.finds != nil {
		find, ok := t.finds.(func(context.Context, In) (Out, bool, error))
		if !ok || find == nil {
			t.mistake("Reconcile has a %T; give a func(context.Context, %s) (%s, bool, error)", t.finds, reflect.TypeFor[In](), reflect.TypeFor[Out]())
		}
		t.reconcile = func(ctx context.Context, args []byte) (string, bool, error) {
			in, err := decodeArgs[In](args)
			if err != nil {
				return "", false, err
			}
			out, happened, err := find(ctx, in)
			if err != nil || !happened {
				return "", false, err
			}
			text, err := resultText(out)
			return text, true, err
		}
	}
	return Tool{t}
}

func (t *tool) mistake(format string, args ...any) {
	t.mistakes = append(t.mistakes, fmt.Sprintf(format, args...))
}

// look checks all that can be checked without the types, and makes the schema.
func (t *tool) look(in reflect.Type, noFunction bool) {
	if m := nameMistake(t.name); m != "" {
		t.mistake("%s", m)
	}
	if strings.TrimSpace(t.description) == "" {
		t.mistake("the description is empty; the model chooses by it")
	}
	if noFunction {
		t.mistake("the function is nil")
	}
	seen := map[string]bool{}
	for _, name := range t.given {
		if seen[name] {
			t.mistake("%s is given twice", name)
		}
		seen[name] = true
	}
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{t.readOnly && (t.writes || t.idempotent || t.finds != nil), "ReadOnly says all; Writes, Idempotent and Reconcile do not go with it"},
		{t.idempotent && t.finds != nil, "an Idempotent tool just runs again; Reconcile has nothing to find out"},
		{t.inline && t.finds != nil, "an Inline tool just runs again; Reconcile has nothing to find out"},
		{t.inline && seen["Timeout"], "an Inline tool may wait for days; put a Timeout on what it calls"},
		{seen["Timeout"] && t.timeout <= 0, fmt.Sprintf("Timeout is %s; give a positive time", t.timeout)},
		{seen["ApproveWithin"] && t.within <= 0, fmt.Sprintf("ApproveWithin is %s; give a positive time", t.within)},
		{seen["ApproveWithin"] && !t.writes && !t.approve && t.approveIf == nil, "ApproveWithin without Writes, Approve or ApproveIf never happens"},
		{seen["MaxOutput"] && (t.maxOutput < 1 || t.maxOutput > maxOutput), fmt.Sprintf("MaxOutput is %d; give a number from 1 to %d", t.maxOutput, maxOutput)},
	} {
		if c.wrong {
			t.mistake("%s", c.text)
		}
	}
	if t.maxOutput == 0 {
		t.maxOutput = defaultOutput
	}
	if in.Kind() != reflect.Struct && (in.Kind() != reflect.Map || in.Key().Kind() != reflect.String) {
		t.mistake("its arguments are a %s; models give an object: take a struct", in)
		return
	}
	raw, err := schema.Output(in)
	if err == nil && !schema.IsObject(raw) {
		err = errors.New("its JSON is no object")
	}
	if err == nil {
		t.reader, err = schema.NewReader(raw)
	}
	if err != nil {
		t.mistake("there is no schema for %s: %v", in, err)
		return
	}
	t.schema = raw
}

// nameMistake says what is wrong with the name of a tool or an agent; "" if nothing.
func nameMistake(name string) string {
	good := len(name) > 0 && len(name) <= 64
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		good = good && (letter || i > 0 && (r >= '0' && r <= '9' || r == '_' || r == '-'))
	}
	if !good {
		return fmt.Sprintf("the name %q is bad: it has 1 to 64 letters, digits, _ and -, and begins with a letter", clip(name, 80))
	}
	return ""
}

// Name is the tool's name; "" for the zero Tool.
func (t Tool) Name() string {
	if t.t == nil {
		return ""
	}
	return t.t.name
}

// Fatal marks an error of a tool: the model is not told of it, but the agent stops with it. The next attempt of the
// step calls the tool again. Calls that run beside it are not cut off: they end first, and are recorded; others do not begin. Fatal
// of nil is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

type usingKey struct{}

// using is what the context of a tool's function leads to.
type using struct {
	key   string   // of idempotency
	label string   // of the agent
	at    string   // 3.1
	paid  *expense // of agents that it runs
}

func usingOf(ctx context.Context) *using {
	u, _ := ctx.Value(usingKey{}).(*using)
	return u
}

// IdempotencyKey is, inside the function of a tool, a key for this call: the same for every time that the call is
// tried, and different for every other call. Elsewhere it is "".
func IdempotencyKey(ctx context.Context) string {
	if u := usingOf(ctx); u != nil {
		return u.key
	}
	return ""
}
