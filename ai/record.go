package ai

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/model"
)

// mark is what is recorded before a request leaves. Bodies are in it by hash only.
type mark struct {
	Try      int    `json:"try"`                // from 1, within this call
	Failures int    `json:"failures,omitempty"` // of the step, at that time
	Crashes  int    `json:"crashes,omitempty"`  // of the step, at that time
	Choice   int    `json:"choice,omitempty"`   // 0: the model that was asked for; n: the nth fallback
	Asked    string `json:"asked"`
	Model    string `json:"model,omitempty"` // to which it goes, as provider:name
	At       int64  `json:"at"`              // microseconds
	Input    int64  `json:"input,omitempty"` // tokens, estimated
	Output   int64  `json:"output,omitempty"`
	Reserved *Money `json:"reserved,omitempty"` // what it may cost; nil: not known
	Held     string `json:"held,omitempty"`     // under which name the budgets of runs have reserved it

	System string   `json:"system,omitempty"`
	Tools  string   `json:"tools,omitempty"`
	Schema string   `json:"schema,omitempty"`
	Manner string   `json:"manner,omitempty"`
	List   string   `json:"list,omitempty"` // the messages up to the last answer among them
	New    []string `json:"new,omitempty"`  // those after
	Prompt string   `json:"prompt,omitempty"`

	Not *refusal `json:"not,omitempty"` // nothing was sent: why
}

// refusal says why nothing was sent.
type refusal struct {
	Error  *failing `json:"error,omitempty"`  // the call cannot be made
	Wait   int64    `json:"wait,omitempty"`   // nanoseconds until there may be room within the rates
	Cool   bool     `json:"cool,omitempty"`   // because the provider has said so, and not for limits of ours
	Budget *overrun `json:"budget,omitempty"` // there is no room for it in a budget
}

// outcome is what became of a try: an answer, an error, or nobody knows.
type outcome struct {
	Interrupted bool     `json:"interrupted,omitempty"` // the process went away in between: possibly paid
	Orderly     bool     `json:"orderly,omitempty"`     // and not by a crash of it
	Gone        string   `json:"gone,omitempty"`        // the caller's own context ended: deadline, or cancelled
	Error       *failing `json:"error,omitempty"`
	Lost        bool     `json:"lost,omitempty"` // with an error: nobody says what the try has used: possibly paid

	Answer     string   `json:"answer,omitempty"` // hash of the message
	Stop       Stop     `json:"stop,omitempty"`
	Served     string   `json:"served,omitempty"`
	RequestID  string   `json:"request_id,omitempty"`
	Confidence *float64 `json:"confidence,omitempty"`

	Usage *Usage `json:"usage,omitempty"`
	Cost  *Money `json:"cost,omitempty"`  // nil: not known
	First int64  `json:"first,omitempty"` // microseconds until the first piece came
	At    int64  `json:"at,omitempty"`    // microseconds
}

// kept is a record as it is written and read.
type kept[T any] struct{ v *T }

func (k kept[T]) MarshalJSON() ([]byte, error) { return canonical(k.v), nil }

func (k *kept[T]) UnmarshalJSON(raw []byte) error {
	k.v = new(T)
	if err := json.Unmarshal(raw, k.v); err != nil {
		return err
	}
	if r, ok := any(k.v).(interface{ whole() error }); ok {
		return r.whole()
	}
	return nil
}

// whole says what is missing in a record, so that none is taken for something that it is not.
func (m *mark) whole() error {
	if m.Try < 1 || m.Choice < 0 || m.Input < 0 || m.Output < 0 || m.Reserved != nil && *m.Reserved < 0 {
		return errors.New("its numbers are not those of a try")
	}
	if n := m.Not; n != nil && n.Error == nil && n.Budget == nil && n.Wait <= 0 {
		return errors.New("it says not why nothing was sent")
	}
	return nil
}

func (o *outcome) whole() error {
	ways := 0
	for _, is := range []bool{o.Interrupted, o.Gone != "", o.Error != nil, o.Answer != ""} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("it says not what became of the try")
	}
	return nil
}

// failing is an *Error as it is recorded.
type failing struct {
	Kind       Kind   `json:"kind"`
	Provider   string `json:"provider,omitempty"`
	Model      string `json:"model,omitempty"`
	Code       string `json:"code,omitempty"`
	RequestID  string `json:"request_id,omitempty"`
	Status     int    `json:"status,omitempty"`
	RetryAfter int64  `json:"retry_after,omitempty"` // nanoseconds
	Text       string `json:"text,omitempty"`
}

func failingOf(e *Error) *failing {
	f := &failing{e.Kind, e.Provider, e.Model, clip(e.Code, 100), clip(e.RequestID, 100), e.Status, int64(e.RetryAfter), ""}
	if e.Err != nil {
		f.Text = clip(e.Err.Error(), maxErrorText)
	}
	return f
}

func (f *failing) err(u *Usage) *Error {
	e := &Error{
		Kind: f.Kind, Provider: f.Provider, Model: f.Model, Code: f.Code, RequestID: f.RequestID, Status: f.Status,
		RetryAfter: time.Duration(f.RetryAfter),
	}
	if f.Text != "" {
		e.Err = errors.New(f.Text)
	}
	if u != nil {
		e.Usage = *u
	}
	return e
}

// maxErrorText is how much of an error's text is recorded.
const maxErrorText = 2 << 10

// clip shortens a text to at most n bytes and keeps it valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// stored is a message in its canonical form. Files are by hash; what is JSON of the provider's is a text, since
// it goes back byte for byte.
type stored struct {
	Role   Role         `json:"role"`
	Text   string       `json:"text,omitempty"`
	CallID string       `json:"call_id,omitempty"`
	Failed bool         `json:"failed,omitempty"`
	Files  []storedFile `json:"files,omitempty"`
	Calls  []storedCall `json:"calls,omitempty"`
	Raw    string       `json:"raw,omitempty"`
	From   string       `json:"from,omitempty"`
}

type storedFile struct {
	Name string `json:"name,omitempty"`
	MIME string `json:"mime"`
	Hash string `json:"hash"`
	Size int    `json:"size"`
}

type storedCall struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	Args string `json:"args"`
}

// list is a part of a conversation: the messages that followed the list before.
type list struct {
	Prev string   `json:"prev,omitempty"`
	New  []string `json:"new"`
}

// body is something to be kept under its hash.
type body []byte

func (b body) hash() string { return hashOf(b) }

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// canonical is JSON whose texts are as they are.
func canonical(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("ai: what a call consists of has no JSON: " + err.Error()) // checked before
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// bodies of a message: its files, then itself.
func messageBodies(m *Message) (own body, files []body) {
	s := stored{Role: m.Role, Text: valid(m.Text), CallID: valid(m.CallID), Failed: m.Failed, Raw: valid(string(m.Raw)), From: valid(m.From)}
	for _, f := range m.Files {
		files = append(files, body(f.Data))
		s.Files = append(s.Files, storedFile{valid(f.Name), valid(f.MIME), hashOf(f.Data), len(f.Data)})
	}
	for _, c := range m.Calls {
		s.Calls = append(s.Calls, storedCall{valid(c.ID), valid(c.Name), valid(string(c.Args))})
	}
	return canonical(s), files
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// message reads a message from its canonical form. read gives the data of files; nil leaves it out.
func readMessage(raw []byte, read func(hash string) ([]byte, error)) (Message, error) {
	var s stored
	if err := json.Unmarshal(raw, &s); err != nil {
		return Message{}, fmt.Errorf("ai: a recorded message cannot be read: %w", err)
	}
	m := Message{Role: s.Role, Text: s.Text, CallID: s.CallID, Failed: s.Failed, From: s.From}
	if s.Raw != "" {
		m.Raw = json.RawMessage(s.Raw)
	}
	for _, c := range s.Calls {
		m.Calls = append(m.Calls, ToolCall{ID: c.ID, Name: c.Name, Args: json.RawMessage(c.Args)})
	}
	for _, f := range s.Files {
		file := File{Name: f.Name, MIME: f.MIME}
		if read != nil {
			data, err := read(f.Hash)
			if err != nil {
				return Message{}, err
			}
			file.Data = data
		}
		m.Files = append(m.Files, file)
	}
	return m, nil
}

// manner is how an answer is to be made, beside how long it may be.
type manner struct {
	Choice      string         `json:"choice,omitempty"`
	Effort      string         `json:"effort,omitempty"`
	Stop        []string       `json:"stop,omitempty"`
	Temperature *float64       `json:"temperature,omitempty"`
	Extra       map[string]any `json:"extra,omitempty"`
}

// plain says that it is as without options.
func (m *manner) plain() bool {
	return m.Choice == "" && m.Effort == "" && len(m.Stop) == 0 && m.Temperature == nil && len(m.Extra) == 0
}

// paper is what a request leaves in the records.
type paper struct {
	system, tools, schema, manner string // hashes

	list  string
	tail  []string
	fresh []body // to be kept, unless they are
	chain []body // lists
	size  int64  // of texts and files, in quarters of a token
	next  thread // of the conversation, once this is recorded
}

// write puts a request on paper. With a thread, messages that it knows are not looked at again.
func write(r *model.Request, t *thread) *paper {
	p := new(paper)
	var known thread
	if t != nil && t.known <= len(r.Messages) {
		known = *t
	}
	one := func(b []byte, have string) string {
		h := hashOf(b)
		if p.size += int64(model.Quarters(string(b))); h != have {
			p.fresh = append(p.fresh, b)
		}
		return h
	}
	if r.System != "" {
		p.system = one([]byte(valid(r.System)), known.system)
	}
	if len(r.Tools) > 0 {
		p.tools = one(canonical(r.Tools), known.tools)
	}
	if len(r.Schema) > 0 {
		p.schema = one(r.Schema, known.schema)
	}
	if how := (manner{r.ToolChoice, r.Effort, r.Stop, r.Temperature, r.Extra}); !how.plain() {
		b := body(canonical(how))
		if p.manner = b.hash(); p.manner != known.manner {
			p.fresh = append(p.fresh, b)
		}
	}
	said := known.said
	for i := known.known; i < len(r.Messages); i++ {
		said += messageSize(&r.Messages[i])
	}
	p.size += said
	p.next = thread{said: said, prev: known.prev, tail: slices.Clone(known.tail), system: p.system, tools: p.tools, schema: p.schema, manner: p.manner}
	n := &p.next
	for from := known.known; from < len(r.Messages); from++ {
		m := &r.Messages[from]
		own, files := messageBodies(m)
		h := own.hash()
		if h != known.answer {
			p.fresh = append(append(p.fresh, files...), own)
		}
		n.tail = append(n.tail, h)
		if m.Role == Assistant {
			l := body(canonical(list{n.prev, n.tail}))
			p.chain = append(p.chain, l)
			n.prev, n.tail = l.hash(), nil
		}
	}
	n.known = len(r.Messages)
	p.list, p.tail = n.prev, n.tail
	return p
}

// messageSize guesses how large a message is, in quarters of a token.
func messageSize(m *Message) int64 {
	n := model.Quarters(m.Text) + model.Quarters(string(m.Raw))
	for _, c := range m.Calls {
		n += model.Quarters(string(c.Args)) + len(c.Name)
	}
	for _, f := range m.Files {
		n += fileSize(&f)
	}
	return int64(n) + 16
}

// fileSize guesses how large a file is, in quarters of a token.
func fileSize(f *File) int {
	switch {
	case strings.HasPrefix(f.MIME, "image/"):
		return 1600 * quarters
	case strings.HasPrefix(f.MIME, "text/"):
		return model.Quarters(string(f.Data))
	}
	return min(len(f.Data), 400_000)
}

// quarters are those of a token.
const quarters = 4

// keep puts everything into the journal that is not there.
func (p *paper) keep(ctx context.Context, j Journal) error {
	for _, group := range [][]body{p.fresh, p.chain} {
		for _, b := range group {
			if _, err := j.Blob(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashDigits is how many digits the name of a call has that is known by what it asks.
const hashDigits = 16

// name is under which a call is recorded.
func (k *call) recordName(p *paper, failures int) string {
	if k.position {
		return k.name
	}
	name := k.name
	switch {
	case name != "":
	case k.key != "":
		name = "ai:" + k.key
	default:
		name = "ai:" + hashOf(canonical(struct {
			Model, System, List, Tools, Schema, Choice, Effort string
			Tail, Stop                                         []string
			MaxTokens                                          int
			Temperature                                        *float64
			Cache                                              time.Duration
			Extra                                              map[string]any
		}{
			k.model, p.system, p.list, p.tools, p.schema, k.req.ToolChoice, k.req.Effort, p.tail, k.req.Stop,
			k.req.MaxTokens, k.req.Temperature, k.req.Cache, k.req.Extra,
		}))[:hashDigits]
	}
	if !k.keep {
		name += fmt.Sprintf("~%d", failures)
	}
	return name
}
