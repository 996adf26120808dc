package ai

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// converse holds a conversation of n turns, with messages of size bytes, and returns what the journal stores
// and what the distinct messages come to.
func converse(t *testing.T, n, size int) (stored, messages, written int) {
	t.Helper()
	turn := 0
	s := &counted{answer: func(int, string, *model.Request) (*Response, error) {
		turn++
		return answer(fmt.Sprintf("%-*d", size, -turn)), nil
	}}
	c := newClient(t, Config{}, s)
	ctx := WithClient(t.Context(), c)
	j := step()
	err := j.Run(ctx, func(ctx context.Context) error {
		var msgs []Message
		var th thread
		for i := range n {
			msgs = append(msgs, Message{Role: User, Text: fmt.Sprintf("%-*d", size, i)})
			k := &call{
				name: fmt.Sprintf("agent:a/turn[%d]", i), position: true, model: "smart", thread: &th,
				req: model.Request{System: "be kind", Messages: msgs, MaxTokens: 10},
			}
			r, err := c.ask(ctx, journalOf(ctx), k)
			if err != nil {
				return err
			}
			msgs = append(msgs, r.Message)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range j.Records {
		stored += len(r)
	}
	for _, b := range j.Blobs {
		stored += len(b)
	}
	return stored, 2 * n * size, j.Written
}

// AI-15: a conversation is stored once, however many turns it has.
func TestAI15_Storage(t *testing.T) {
	small, _, _ := converse(t, 50, 1<<10)
	large, _, _ := converse(t, 100, 1<<10)
	if float64(large) > 2.5*float64(small) || large > 1<<20 {
		t.Errorf("100 turns store %d bytes, 50 turns %d", large, small)
	}
	stored, messages, written := converse(t, 100, 4<<10)
	if float64(stored) > 1.5*float64(messages) {
		t.Errorf("%d bytes are stored for %d of messages", stored, messages)
	}
	if float64(written) > 1.5*float64(messages) {
		t.Errorf("%d bytes were given to the journal for %d of messages", written, messages)
	}
	t.Logf("100 turns of 2 × 4 KiB: %d bytes stored, %.3f of the messages; %d written", stored, float64(stored)/float64(messages), written)
}

// A conversation without a thread, and one whose beginning the code has changed, are kept whole.
func TestStorage_EditedConversation(t *testing.T) {
	s, ctx := scriptedClient(t, says("one"), says("two"))
	_ = s
	c, err := clientOf(ctx)
	if err != nil {
		t.Fatal(err)
	}
	j := step()
	body := func(first string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			msgs := []Message{{Role: User, Text: first}}
			var th thread
			for i := range 2 {
				k := &call{name: fmt.Sprintf("turn[%d]", i), position: true, model: "smart", thread: &th, req: model.Request{Messages: msgs, MaxTokens: 10}}
				r, err := c.ask(ctx, journalOf(ctx), k)
				if err != nil {
					return err
				}
				msgs = append(msgs, r.Message, Message{Role: User, Text: "go on"})
			}
			return nil
		}
	}
	j.Kill = 2
	if err := j.Run(ctx, body("first")); !errors.Is(err, ErrKilled) {
		t.Fatal(err)
	}
	if err := j.Run(ctx, body("first, edited")); err != nil || len(s.requests) != 2 {
		t.Fatalf("%v, %d requests", err, len(s.requests))
	}
	// Every hash in the records leads to a body.
	for key, raw := range j.Records {
		for _, part := range strings.Split(string(raw), `"`) {
			if len(part) == 64 && !strings.ContainsAny(part, " :,") && j.Blobs[part] == nil {
				t.Errorf("%s names %s, which is not there", key, part)
			}
		}
	}
	for h, b := range j.Blobs {
		for _, part := range strings.Split(string(b), `"`) {
			if len(part) == 64 && j.Blobs[part] == nil {
				t.Errorf("the body %s names %s, which is not there", h, part)
			}
		}
	}
}

// What the provider said goes back byte for byte, also from the records.
func TestStorage_RawBytes(t *testing.T) {
	raw := `[{"type":"thinking",  "text":"a<b>&  \u003c é","signature":"x=="}]`
	args := `{"b": 1,  "a":"<&>"}`
	first := func(context.Context, *model.Request, func(Delta)) (*Response, error) {
		return &Response{Message: Message{Text: "t\xffext", Raw: []byte(raw), From: "w", Calls: []ToolCall{{ID: "1", Name: "f", Args: []byte(args)}}}, Stop: StopTools}, nil
	}
	_, ctx := scriptedClient(t, first)
	j := step()
	for range 2 {
		err := j.Run(ctx, func(ctx context.Context) error {
			r, err := Generate(ctx, "smart", []Message{{Role: User, Text: "x"}})
			if err == nil && (string(r.Message.Raw) != raw || string(r.Message.Calls[0].Args) != args || r.Message.From != "w" || r.Message.Text != "t\uFFFDext") {
				t.Errorf("%+v, raw %s", r.Message, r.Message.Raw)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A file is kept once, and is there again.
func TestStorage_Files(t *testing.T) {
	p := &counted{answer: func(_ int, _ string, r *model.Request) (*Response, error) {
		return answer(string(r.Messages[0].Files[0].Data)), nil
	}}
	w := define(func(ctx context.Context, d *doc) error {
		for i := range 3 {
			text, err := GenerateText(ctx, "smart", fmt.Sprint(i), Files(File{Name: "f.pdf", MIME: "application/pdf", Data: []byte("pdf")}))
			if err != nil {
				return err
			}
			d.Texts = append(d.Texts, text)
		}
		return nil
	})
	synctestStores(t, config(w), p, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, doc{})
		if got := r.Done(); got.Texts[2] != "pdf" {
			t.Errorf("%q", got.Texts)
		}
		if _, err := e.Blob(t.Context(), r.ID, hashOf([]byte("pdf"))); err != nil {
			t.Error(err)
		}
	})
}

// AI-34: ai adds only modules for schemas to what durable links, and only engine.go knows durable.
func TestAI34_Links(t *testing.T) {
	list := func(pkg string) map[string]bool {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		for _, m := range strings.Fields(string(out)) {
			set[m] = true
		}
		return set
	}
	root := list("github.com/durable-go/durable")
	for _, pkg := range []string{"ai", "ai/model", "ai/anthropic", "ai/openai", "ai/gemini", "ai/offline"} {
		for m := range list("github.com/durable-go/durable/" + pkg) {
			if !root[m] {
				t.Errorf("%s links %s", pkg, m)
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), "grep", "-l", `"github.com/durable-go/durable"`, "-r", ".", "--include=*.go", "--exclude=*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range strings.Fields(string(out)) {
		if file != "./engine.go" && !strings.HasPrefix(file, "./aitest/") {
			t.Errorf("%s imports durable", file)
		}
	}
}

// A prompt that the caller gives up is no answer, in the records too, and a later attempt asks anew.
func TestCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, _ *model.Request, _ func(Delta)) (*Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s, ctx := scriptedClient(t, slow, says("a"))
		j := step()
		body := func(ctx context.Context) error {
			short, cancel := context.WithTimeout(ctx, 1e9)
			defer cancel()
			_, err := GenerateText(short, "smart", "x", Keep())
			return err
		}
		if err := j.Run(ctx, body); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		j.Step.Failures-- // the same attempt: another run of its body takes the same road
		if err := j.Run(ctx, body); !errors.Is(err, context.DeadlineExceeded) || len(s.requests) != 1 {
			t.Fatalf("%v, %d requests", err, len(s.requests))
		}
		if err := j.Run(ctx, body); err != nil || len(s.requests) != 2 {
			t.Errorf("%v, %d requests", err, len(s.requests))
		}
		if l := infos(must(j.history(ctx))); len(l) != 2 || !l[0].PossiblyPaid || l[1].PossiblyPaid || !l[1].Answered {
			t.Errorf("%+v", l)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Nothing that another Do of a step has recorded is taken for a call.
func TestGather_OthersRecords(t *testing.T) {
	w := define(func(ctx context.Context, d *doc) error {
		for _, v := range []any{map[string]int{"a": 1}, "text", nil, 3} {
			for _, name := range []string{"x/try", "x"} {
				if _, err := durable.Do(ctx, name, func(context.Context) (any, error) { return v, nil }); err != nil {
					return err
				}
			}
		}
		return nil
	})
	synctestStores(t, config(w), &script{}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, doc{})
		r.Done()
		if s := sumOf(t, e, r.ID); s != (Sum{}) {
			t.Errorf("%+v", s)
		}
	})
}
