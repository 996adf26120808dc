package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Memory is a journal in memory, for tests that need no engine. One value is one step; each Run is one run
// of its body. It is for one goroutine at a time.
type Memory struct {
	Step    StepInfo
	Records map[string]json.RawMessage // by name#count
	Order   []string                   // their keys, as they came
	Blobs   map[string][]byte
	Written int                 // bytes given to Blob, each time
	Slept   []time.Duration     // every sleep once
	Asked   []Question          // every question once
	Answers []json.RawMessage   // taken by questions in turn; with none left a question suspends
	Kill    int                 // the process dies right after so many records; 0: it does not
	OnSleep func(time.Duration) // such as to let virtual time pass

	broken map[string]error
	counts map[string]int
	inside bool
	staged map[string][]byte
	end    error
}

// What a run of a body ends with that did not return.
var (
	ErrKilled  = errors.New("the process was killed")
	ErrWaiting = errors.New("the body waits for an answer")
)

// Run runs a body once. A body that returned an error has failed: the next is another attempt.
func (m *Memory) Run(ctx context.Context, body func(ctx context.Context) error) error {
	if m.Records == nil {
		m.Records, m.Blobs = map[string]json.RawMessage{}, map[string][]byte{}
	}
	m.counts, m.end, m.inside, m.staged = map[string]int{}, nil, false, map[string][]byte{}
	if m.broken == nil {
		m.broken = map[string]error{}
	}
	var err error
	returned := false
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		err = body(WithJournal(ctx, m))
		returned = true
	}()
	if p := <-done; p != nil {
		m.Step.Crashes++
		panic(p)
	}
	switch {
	case !returned:
		if errors.Is(m.end, ErrKilled) {
			m.Step.Crashes++
		}
		return m.end
	case err != nil:
		m.Step.Attempt++
		m.Step.Failures++
		m.broken = nil
	}
	return err
}

func (m *Memory) stop(why error) {
	m.end = why
	runtime.Goexit()
}

type memoryScope struct{}

func (m *Memory) key(ctx context.Context, name string) string {
	if m.inside {
		panic("ai: a durable call in the function of another")
	}
	name = scoped(ctx, name)
	m.counts[name]++
	return fmt.Sprintf("%s#%d", name, m.counts[name])
}

func scoped(ctx context.Context, name string) string {
	scope, _ := ctx.Value(memoryScope{}).(string)
	return scope + name
}

// Scope is Journal's.
func (m *Memory) Scope(ctx context.Context, name string) (inner context.Context, label string) {
	label = name
	key := scoped(ctx, "scope "+name)
	if m.counts[key]++; m.counts[key] > 1 {
		label = fmt.Sprintf("%s~%d", name, m.counts[key])
	}
	return context.WithValue(ctx, memoryScope{}, scoped(ctx, "@"+label+"/")), label
}

// Recorded is Journal's.
func (m *Memory) Recorded(ctx context.Context, name string) bool {
	name = scoped(ctx, name)
	key := fmt.Sprintf("%s#%d", name, m.counts[name]+1)
	return m.Records[key] != nil || m.broken[key] != nil
}

func (m *Memory) record(key string, v json.RawMessage) {
	m.Records[key] = slices.Clone(v)
	m.Order = append(m.Order, key)
	for h, b := range m.staged {
		m.Blobs[h] = b
	}
	clear(m.staged)
	if m.Kill--; m.Kill == 0 {
		m.stop(ErrKilled)
	}
}

// Info is Journal's.
func (m *Memory) Info() StepInfo { return m.Step }

// Do is Journal's.
func (m *Memory) Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	key := m.key(ctx, name)
	if v, ok := m.Records[key]; ok {
		return slices.Clone(v), nil
	}
	if err := m.broken[key]; err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.inside = true
	v, err := fn(ctx)
	m.inside = false
	if err != nil {
		clear(m.staged)
		if bodyOver(context.Cause(ctx)) {
			return nil, context.Cause(ctx)
		}
		m.broken[key] = errors.New(err.Error())
		return nil, m.broken[key]
	}
	m.record(key, v)
	return slices.Clone(v), nil
}

// Sleep is Journal's.
func (m *Memory) Sleep(ctx context.Context, name string, d time.Duration) error {
	key := m.key(ctx, "sleep "+name)
	if _, ok := m.Records[key]; ok {
		return nil
	}
	m.Slept = append(m.Slept, d)
	if m.OnSleep != nil {
		m.OnSleep(d)
	}
	m.record(key, json.RawMessage(`null`))
	return nil
}

// Ask is Journal's.
func (m *Memory) Ask(ctx context.Context, name string, q Question) (json.RawMessage, error) {
	key := m.key(ctx, "ask "+name)
	if v, ok := m.Records[key]; ok {
		return v, nil
	}
	if len(m.Answers) == 0 {
		m.Asked = append(m.Asked, q)
		m.stop(ErrWaiting)
	}
	v := m.Answers[0]
	m.Answers = m.Answers[1:]
	m.record(key, v)
	return v, nil
}

// Blob is Journal's.
func (m *Memory) Blob(_ context.Context, body []byte) (string, error) {
	m.Written += len(body)
	h := hashOf(body)
	m.staged[h] = slices.Clone(body)
	return h, nil
}

// ReadBlob is Journal's.
func (m *Memory) ReadBlob(_ context.Context, hash string) ([]byte, error) {
	b, ok := m.Blobs[hash]
	if !ok {
		return nil, fmt.Errorf("there is no blob %s", hash)
	}
	return b, nil
}

func (m *Memory) history(context.Context) (list []entry, err error) {
	for _, key := range m.Order {
		name, _, _ := strings.Cut(key, "#")
		list = append(list, entry{Path: m.Step.Path, Attempt: 1, Name: name, Data: m.Records[key]})
	}
	return list, nil
}
