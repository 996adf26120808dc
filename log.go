package durable

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

const (
	maxLogEntries = 1000  // per attempt
	maxLogBytes   = 10000 // per entry
)

// Logger gives a logger whose entries are kept with the attempt, visible
// within a second while the step runs, and passed on to Config.Logger. Outside
// a step it is slog.Default.
func Logger(ctx context.Context) *slog.Logger {
	b := bodyOf(ctx)
	if b == nil {
		return slog.Default()
	}
	return slog.New(&logHandler{next: b.engine.log.Handler(), body: b})
}

// LogHandler wraps a handler such that records which carry a step's context
// (slog.InfoContext and the like) are kept with the attempt too.
func LogHandler(next slog.Handler) slog.Handler { return &logHandler{next: next} }

// capture keeps the entries of one attempt.
type capture struct {
	mu      sync.Mutex
	h       *run.Handle
	n       int
	dropped int
}

// logHandler keeps records of the step in the context, or of the one step that
// it was made for, and passes them on.
type logHandler struct {
	next  slog.Handler
	body  *body
	attrs []slog.Attr
	group string
}

func (l *logHandler) of(ctx context.Context) *body {
	if l.body != nil {
		return l.body
	}
	return bodyOf(ctx)
}

// Enabled is slog.Handler's.
func (l *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return l.of(ctx) != nil && level >= slog.LevelInfo || l.next.Enabled(ctx, level)
}

// Handle is slog.Handler's.
func (l *logHandler) Handle(ctx context.Context, r slog.Record) error {
	b := l.of(ctx)
	if b != nil && r.Level >= slog.LevelInfo {
		b.logs.keep(r, l.attrs, l.group)
	}
	if !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	if b != nil {
		r = r.Clone()
		r.AddAttrs(slog.String("execution", b.h.Execution.String()), slog.String("path", b.h.Path))
	}
	return l.next.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (l *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	c.next = l.next.WithAttrs(attrs)
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], prefixed(l.group, attrs)...)
	return &c
}

// WithGroup is slog.Handler's.
func (l *logHandler) WithGroup(name string) slog.Handler {
	c := *l
	c.next = l.next.WithGroup(name)
	c.group += name + "."
	return &c
}

func prefixed(group string, attrs []slog.Attr) []slog.Attr {
	if group == "" {
		return attrs
	}
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = slog.Attr{Key: group + a.Key, Value: a.Value}
	}
	return out
}

// end says how much was dropped, when the body has ended.
func (c *capture) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped > 0 {
		c.h.Log(c.entry(c.n, slog.LevelWarn, fmt.Sprintf("%d log entries were not kept", c.dropped), nil))
		c.dropped = 0
	}
}

// keep stores an entry, within the limits; what is dropped is counted. Values may log, too, while they are asked what they are.
func (c *capture) keep(r slog.Record, attrs []slog.Attr, group string) {
	n, kept := c.count()
	if !kept {
		return
	}
	values := make(map[string]any)
	add := func(a slog.Attr) bool {
		values[a.Key] = logValue(a.Value)
		return true
	}
	for _, a := range attrs {
		add(a)
	}
	r.Attrs(func(a slog.Attr) bool { return add(slog.Attr{Key: group + a.Key, Value: a.Value}) })
	var raw []byte
	if len(values) > 0 {
		var err error
		if raw, err = encode(values, maxLogBytes); err != nil {
			raw, _ = encode(map[string]string{"attrs": cut(errorText(err), 200)}, maxLogBytes)
		}
	}
	c.h.Log(c.entry(n, r.Level, cut(r.Message, maxLogBytes), raw))
}

// count gives an entry its number, and tells whether it is kept.
func (c *capture) count() (n int, kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.n <= maxLogEntries {
		return c.n, true
	}
	c.dropped++
	if c.dropped == 1 {
		c.h.Log(c.entry(c.n, slog.LevelWarn, "the step logged more than is kept; later entries went to the engine's logger only", nil))
	}
	return 0, false
}

func (c *capture) entry(n int, level slog.Level, text string, attrs []byte) store.Log {
	return store.Log{Path: c.h.Path, Attempt: c.h.Attempt, N: int(c.h.Epoch)*10*maxLogEntries + n, Level: int(level), Text: text, Attrs: attrs}
}

// logValue is a value as JSON keeps it.
func logValue(v slog.Value) any {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindDuration:
		return v.Duration().String()
	case slog.KindGroup:
		m := make(map[string]any)
		for _, a := range v.Group() {
			m[a.Key] = logValue(a.Value)
		}
		return m
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return errorText(err)
		}
	}
	return v.Any()
}
