package ai

import (
	"context"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	env := map[string]string{
		"AI_MODEL_SMART": "fake:from-env", "AI_MODEL_LOCAL": "openai-chat@http://127.0.0.1:8000/v1:qwen3:8b",
		"AI_MODEL_FAKE_GONE": "fake:new",
	}
	c, err := New(Config{
		Getenv:    func(name string) string { return env[name] },
		Providers: map[string]Provider{"fake": &script{}},
		Aliases: map[string]string{
			"smart": "fake:from-config", "cheap": "fake:small", "chain": "cheap", "fake:retired": "fake:next",
			"vllm": "openai@https://gw.corp/openai/v1:a/b:c", "slash": "anthropic@http://h/:m",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"smart": "fake:from-env", "cheap": "fake:small", "chain": "fake:small", "fake:x:y": "fake:x:y", "fake:retired": "fake:next",
		"fake:gone": "fake:new", "local": "openai-chat@http://127.0.0.1:8000/v1:qwen3:8b", "vllm": "openai@https://gw.corp/openai/v1:a/b:c",
		"slash":                        "anthropic@http://h/:m",
		"unset":                        `!Config.Aliases["unset"], or AI_MODEL_UNSET`,
		"openai-chat@http://evil/v1:m": "!only configuration and environment",
		"fake@http://127.0.0.1/v1:m":   "!only configuration and environment",
		":x":                           "!provider:name",
		"fake:":                        "!provider:name",
		"":                             "!is not set",
	} {
		s, err := c.resolve(name)
		if got := s.String(); strings.HasPrefix(want, "!") {
			if err == nil || !strings.Contains(err.Error(), want[1:]) {
				t.Errorf("%q: %q, %v; want %q", name, got, err, want)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		} else if again, err := parse(got, true); err != nil || again != s {
			t.Errorf("%q is read as %+v, %v; want %+v", got, again, err, s)
		}
	}
}

// All that is wrong with a configuration comes at once.
func TestNewReportsEverything(t *testing.T) {
	_, err := New(Config{
		Getenv:    noEnv,
		Providers: map[string]Provider{"a:b": &script{}, "nil": nil},
		Aliases: map[string]string{
			"x": "y", "y": "x", "bare": "nowhere", "noslash": "openai@http://h:m", "user": "openai@http://u:p@h/v1:m", "ftp": "openai@ftp://h/v1:m",
			"query": "openai@http://h/v1?a=b:m", "nomodel": "openai@http://h/v1", "nobody": "nobody:x", "wire": "nobody@http://h/v1:m",
		},
		Limits:  map[string]Limit{"fake": {Requests: 1}, "fake:*": {}, "fake:x": {Input: -1}},
		Budgets: map[string]Budget{"none": {}, "minus": {Calls: -1}},
		Prices:  []byte(`{"as_of":"soon","models":{"m":{"input":1}}}`),
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`"a:b" is no name`, `"nil" is nil`, `the aliases lead on and on`, `"nowhere" is not set`, `"noslash": "openai@…": after the @ comes a URL with a path`,
		"no user and password", "no URL of http", "has no query", "come a colon", `"fake" reads provider:name`, `"fake:*" limits nothing`, `"fake:x" has a number below`,
		`"nobody:x": no such provider`, "the wires that can be", `"none" limits nothing`, `"minus" has a number below`, "as_of", `"m" is no model`, "m: input or output is missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if strings.Contains(err.Error(), "u:p@") {
		t.Errorf("the error shows a password: %v", err)
	}
	if t.Failed() {
		t.Log(err)
	}
}

// A key is read when it is first needed, and a missing one is an error that names the variable; no
// name ever leads to the offline model by itself.
func TestCheck(t *testing.T) {
	keys := map[string]string{}
	c, err := New(Config{
		Aliases: map[string]string{"smart": "anthropic:claude-x", "local": "openai-chat@http://127.0.0.1:1/v1:m"},
		Getenv:  func(name string) string { return keys[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := WithClient(t.Context(), c)
	err = Check(ctx, "smart", "unset", "local", "nobody:x", "gemini:g")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"ANTHROPIC_API_KEY", `"unset" is not set`, `"nobody:x": no such provider`, "GOOGLE_API_KEY"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("a server that needs no key: %v", err)
	}
	if _, err := GenerateText(ctx, "smart", "x"); !IsKind(err, Invalid) || !strings.Contains(err.Error(), "ANTHROPIC_API_KEY") {
		t.Error(err)
	}
	if _, err := GenerateText(ctx, "unset", "x"); !IsKind(err, Invalid) {
		t.Error(err)
	}
	keys["ANTHROPIC_API_KEY"] = "k"
	if err := Check(ctx, "smart"); err != nil {
		t.Error(err)
	}
}

// Options that mean nothing together, or nothing at all, are refused before anything is sent.
func TestOptionsRefused(t *testing.T) {
	s, ctx := scriptedClient(t)
	text := func(opts ...Option) error { _, err := GenerateText(ctx, "smart", "x", opts...); return err }
	p, err := NewPrompt("p", "hello {{.Name}}")
	if err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"MaxTokens is 0":           text(MaxTokens(0)),
		"Temperature is -1":        text(Temperature(-1)),
		"Effort is \"huge\"":       text(Effort("huge")),
		"Repair is for objects":    text(Repair(1)),
		"Fallback: name models":    text(Fallback()),
		"Patience is -1ns":         text(Patience(-1)),
		"Idle is 0s":               text(Idle(0)),
		"Key: give a name":         text(Key("")),
		"the response is nil":      text(Result(nil)),
		"the function is nil":      text(OnDelta(nil)),
		"Cache is 2h0m0s":          text(Cache(2 * 3600e9)),
		"needs a MIME type":        text(Files(File{Name: "a"})),
		"StopAt: a text is empty":  text(StopAt("a", "")),
		"an option is nil":         text(nil),
		"leave it empty":           text(Render(p, map[string]string{"Name": "Ada"})),
		"no entry for key":         second(GenerateText(ctx, "smart", "", Render(p, map[string]string{}))),
		"make it with NewPrompt":   second(GenerateText(ctx, "smart", "", Render(Prompt{}, nil))),
		"the prompt is empty":      second(GenerateText(ctx, "smart", "")),
		"Extra is no JSON":         text(Extra(map[string]any{"f": func() {}})),
		"there are no messages":    third(Generate(ctx, "smart", nil)),
		"make a prompt":            third(Generate(ctx, "smart", []Message{{Role: User, Text: "x"}}, Files(File{MIME: "a", Data: []byte("b")}))),
		"the model's own":          third(Generate(ctx, "smart", []Message{{Role: Assistant, Text: "x"}})),
		"has the role system":      third(Generate(ctx, "smart", []Message{{Role: "system", Text: "x"}, {Role: User, Text: "x"}})),
		"no model is named":        second(GenerateText(ctx, "", "x")),
		"and may have 16777216":    text(Files(File{Name: "big", MIME: "application/pdf", Data: make([]byte, 17<<20)})),
		"only messages of the use": third(Generate(ctx, "smart", []Message{{Role: "tool", Text: "x", Files: []File{{}}}})),
	} {
		if !IsKind(err, Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func second(_ string, err error) error   { return err }
func third(_ *Response, err error) error { return err }

// What is set is sent, and nothing else is.
func TestOptionsSent(t *testing.T) {
	s, ctx := scriptedClient(t, says("a"), says("b"))
	if _, err := GenerateText(ctx, "smart", "x"); err != nil {
		t.Fatal(err)
	}
	r := s.requests[0]
	if r.Model != "one" || r.MaxTokens != 4096 || r.Temperature != nil || r.Stop != nil || r.Effort != "" || r.Cache != 0 || r.Extra != nil || r.Schema != nil || r.Idle != 0 {
		t.Errorf("%+v", r)
	}
	p, err := NewPrompt("greeting", "hello {{.}}")
	if err != nil {
		t.Fatal(err)
	}
	var pieces []string
	s.lines[1] = func(_ context.Context, _ *Request, on func(Delta)) (*Response, error) {
		on(Delta{Text: "b"})
		return answer("b"), nil
	}
	_, err = GenerateText(
		ctx, "smart", "", System("be kind"), Messages(Message{Role: User, Text: "1"}, Message{Role: Assistant, Text: "2"}), Render(p, "Ada"),
		Files(File{Name: "f", MIME: "image/png", Data: []byte("png")}), MaxTokens(7), Temperature(0), StopAt("."), Effort("low"), Cache(300e9), Idle(5e9),
		Extra(map[string]any{"k": 1}), OnDelta(func(d Delta) { pieces = append(pieces, d.Text) }),
	)
	if err != nil {
		t.Fatal(err)
	}
	r = s.requests[1]
	if r.System != "be kind" || len(r.Messages) != 3 || r.Messages[2].Text != "hello Ada" || r.Messages[2].Files[0].Name != "f" || r.MaxTokens != 7 ||
		*r.Temperature != 0 || r.Stop[0] != "." || r.Effort != "low" || r.Cache != 300e9 || r.Idle != 5e9 || r.Extra["k"] != 1 || len(pieces) != 1 {
		t.Errorf("%+v, pieces %q", r, pieces)
	}
}
