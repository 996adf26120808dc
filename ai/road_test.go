package ai

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// What the models of a call do, and what the call does then.
func TestRoads(t *testing.T) {
	bad := func(k Kind) line { return fails(Error{Kind: k, Status: 400}) }
	stops := func(s Stop) line {
		return func(context.Context, *model.Request, func(Delta)) (*Response, error) {
			return &Response{Message: Message{Text: "half"}, Stop: s, Usage: Usage{Output: 3}}, nil
		}
	}
	var odd line = func(context.Context, *model.Request, func(Delta)) (*Response, error) { return nil, errors.New("odd") }
	var none line = func(context.Context, *model.Request, func(Delta)) (*Response, error) { return nil, nil }
	for name, c := range map[string]struct {
		lines  []line
		models string // that were asked
		kind   Kind   // of the error
		slept  int
		hold   bool // it waits for a person
	}{
		"at once":                  {[]line{says("a")}, "one", "", 0, false},
		"too long, then fallback":  {[]line{bad(TooLong), says("a")}, "one two", "", 0, false},
		"too long for both":        {[]line{bad(TooLong), bad(TooLong)}, "one two", TooLong, 0, false},
		"refused, then fallback":   {[]line{bad(Refused), says("a")}, "one two", "", 0, false},
		"refused in the answer":    {[]line{stops(StopRefused), stops(StopRefused)}, "one two", Refused, 0, false},
		"too long in the answer":   {[]line{stops(StopTooLong), says("a")}, "one two", "", 0, false},
		"invalid has no fallback":  {[]line{bad(Invalid)}, "one", Invalid, 0, false},
		"a key has no fallback":    {[]line{bad(Auth)}, "one", "", 0, true},
		"a quota has no fallback":  {[]line{bad(Quota)}, "one", "", 0, true},
		"cut, for a text":          {[]line{stops(StopLength)}, "one", "", 0, false},
		"an unreadable answer":     {[]line{bad(BadAnswer), says("a")}, "one one", "", 0, false},
		"two of them":              {[]line{bad(BadAnswer), bad(BadAnswer)}, "one one", BadAnswer, 0, false},
		"an error of no kind":      {[]line{odd, odd, says("a")}, "one one one", "", 0, false},
		"neither answer nor error": {[]line{none, says("a")}, "one one", "", 0, false},
		"a long wait is a quota":   {[]line{fails(Error{Kind: RateLimited, RetryAfter: time.Hour})}, "one", "", 0, true},
		"a short one is not":       {[]line{fails(Error{Kind: RateLimited, RetryAfter: 15 * time.Minute}), says("a")}, "one one", "", 1, false},
		"overloaded for so long":   {[]line{fails(Error{Kind: Transient, RetryAfter: 40 * time.Second}), says("a")}, "one two", "", 0, false},
		"both overloaded": {[]line{
			bad(Transient), bad(Transient), bad(Transient), bad(Transient), bad(Transient), bad(Transient), bad(Transient), bad(Transient),
			bad(Transient), bad(Transient), says("a"),
		}, "one one one one two two two two one two one", "", 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, ctx := scriptedClient(t, c.lines...)
				j := step()
				j.OnSleep = elapse
				body := func(ctx context.Context) error {
					_, err := GenerateText(ctx, "smart", "x", Fallback("fake:two"))
					return err
				}
				err := j.Run(ctx, body)
				var e *Error
				switch {
				case c.hold != errors.Is(err, ErrWaiting):
					t.Errorf("%v, want a hold: %v", err, c.hold)
				case !c.hold && (err == nil) != (c.kind == ""), c.kind != "" && (!errors.As(err, &e) || e.Kind != c.kind):
					t.Errorf("%v, want %q", err, c.kind)
				}
				if got := strings.Join(s.models, " "); got != c.models {
					t.Errorf("asked %s, want %s", got, c.models)
				}
				naps := 0
				for _, key := range j.Order {
					if strings.HasPrefix(key, "sleep ") {
						naps++
					}
				}
				if c.slept > 0 && naps < c.slept || c.slept == 0 && naps > 0 {
					t.Errorf("%d naps, want %d", naps, c.slept)
				}
				if c.hold || err != nil {
					return
				}
				// Another run of the body walks the same road and sends nothing.
				order := len(j.Order)
				if err := j.Run(ctx, body); err != nil || len(s.requests) != len(c.lines) || len(j.Order) != order {
					t.Errorf("again: %v, %d requests, records %q", err, len(s.requests), j.Order[order:])
				}
			})
		})
	}
}

// A key that is not accepted is tried again by itself, also if nobody answers.
func TestAuthHold(t *testing.T) {
	s, ctx := scriptedClient(t, fails(Error{Kind: Auth, Status: 401}), says("a"))
	j := step()
	body := func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "x"); return err }
	if err := j.Run(ctx, body); !errors.Is(err, ErrWaiting) || len(j.Asked) != 1 {
		t.Fatal(err)
	}
	q := j.Asked[0]
	if !q.Timed || q.Timeout != 10*time.Minute || string(q.Default) != `"try again"` || !strings.Contains(q.Prompt, "auth") {
		t.Errorf("%+v", q)
	}
	j.Answers = []json.RawMessage{q.Default}
	if err := j.Run(ctx, body); err != nil || len(s.requests) != 2 {
		t.Errorf("%v, %d requests", err, len(s.requests))
	}
}

// A call is known by what it asks, not by its place, or by its key.
func TestCallNames(t *testing.T) {
	s, ctx := scriptedClient(t, says("a"), says("b"), says("c"))
	j := step()
	var got []string
	run := func(prompts ...string) {
		t.Helper()
		got = nil
		err := j.Run(ctx, func(ctx context.Context) error {
			for _, p := range prompts {
				var opts []Option
				if name, ok := strings.CutPrefix(p, "key "); ok {
					opts = append(opts, Key("k"))
					p = name
				}
				text, err := GenerateText(ctx, "smart", p, opts...)
				if err != nil {
					return err
				}
				got = append(got, text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	run("x", "y", "key at noon")
	run("key at midnight", "y", "x")
	if want := []string{"c", "b", "a"}; !slices.Equal(got, want) || len(s.requests) != 3 {
		t.Errorf("%q after %d requests, want %q", got, len(s.requests), want)
	}
	for _, key := range j.Order {
		if !strings.HasPrefix(key, "ai:") || !strings.Contains(key, "~0") {
			t.Errorf("a record is called %q", key)
		}
	}
}

// Every option that changes what is asked makes another call of it.
func TestCallNames_Options(t *testing.T) {
	names := map[string]string{}
	for name, opts := range map[string][]Option{
		"none": nil, "system": {System("s")}, "max": {MaxTokens(5)}, "temperature": {Temperature(0)}, "stop": {StopAt("x")}, "effort": {Effort("low")},
		"cache": {Cache(time.Minute)}, "extra": {Extra(map[string]any{"a": 1})}, "messages": {Messages(Message{Role: User, Text: "1"})},
		"files": {Files(File{MIME: "a", Data: []byte("a")})}, "other file": {Files(File{MIME: "a", Data: []byte("b")})},
	} {
		_, ctx := scriptedClient(t, says("a"))
		j := step()
		if err := j.Run(ctx, func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "x", opts...); return err }); err != nil {
			t.Fatal(err)
		}
		if other := names[j.Order[0]]; other != "" {
			t.Errorf("%s and %s are the same call", name, other)
		}
		names[j.Order[0]] = name
	}
	p, err := NewPrompt("a template", "{{.}}")
	if err != nil {
		t.Fatal(err)
	}
	_, ctx := scriptedClient(t, says("a"))
	j := step()
	if err := j.Run(ctx, func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "", Render(p, "x")); return err }); err != nil || names[j.Order[0]] != "none" {
		t.Errorf("a template makes another call of the same text: %v", err)
	}
	for name, opts := range map[string][]Option{ // these do not
		"fallback": {Fallback("fake:two")}, "patience": {Patience(time.Second)}, "idle": {Idle(time.Second)}, "on": {OnDelta(func(Delta) {})}, "result": {Result(new(Response))},
	} {
		_, ctx := scriptedClient(t, says("a"))
		j := step()
		if err := j.Run(ctx, func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "x", opts...); return err }); err != nil {
			t.Fatal(err)
		}
		if names[j.Order[0]] != "none" {
			t.Errorf("%s makes another call", name)
		}
	}
}

// Pieces are seen while they come, and not again; the template of a prompt stands with its call.
func TestDeltasAndPrompts(t *testing.T) {
	stream := func(_ context.Context, _ *model.Request, on func(Delta)) (*Response, error) {
		on(Delta{Text: "a"})
		on(Delta{Text: "b"})
		return answer("ab"), nil
	}
	p, err := NewPrompt("greet", "hello {{.Name}}")
	if err != nil {
		t.Fatal(err)
	}
	_, ctx := scriptedClient(t, stream)
	j := step()
	pieces := ""
	var r Response
	for range 2 {
		r = Response{}
		err := j.Run(ctx, func(ctx context.Context) error {
			_, err := GenerateText(ctx, "smart", "", Render(p, map[string]any{"Name": "Ada"}), OnDelta(func(d Delta) { pieces += d.Text }), Result(&r))
			return err
		})
		if err != nil || pieces != "ab" || r.Message.Text != "ab" || r.Message.Role != Assistant {
			t.Errorf("%v, pieces %q, %+v", err, pieces, r)
		}
	}
	list := infos(must(j.history(ctx)))
	if len(list) != 1 || !strings.HasPrefix(list[0].Prompt, "greet@") || list[0].First == 0 {
		t.Errorf("%+v", list)
	}
}

// The alias that an error names is that of the model which was asked.
func TestInvalidFallbackIsNamed(t *testing.T) {
	_, ctx := scriptedClient(t, fails(Error{Kind: Refused}), fails(Error{Kind: Invalid, Status: 404}))
	_, err := GenerateText(ctx, "smart", "x", Fallback("fake:two"))
	if !IsKind(err, Invalid) || !strings.Contains(err.Error(), `"fake:two"`) || !strings.Contains(err.Error(), "AI_MODEL_FAKE_TWO") || strings.Contains(err.Error(), `"smart"`) {
		t.Error(err)
	}
}
