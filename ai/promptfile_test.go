package ai

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
)

func loaded(t *testing.T, text string) Prompt {
	t.Helper()
	p, err := LoadPrompt(fstest.MapFS{"prompts/classify.md": {Data: []byte(text)}}, "prompts/classify.md")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The head of a prompt's file says what its calls are to have; what a call says itself comes before, and nothing of the head is sent as text.
func TestPromptFile(t *testing.T) {
	data := map[string]string{"Text": "abc"}
	const head = "---\r\nmodel: smart\nsystem: Be kind: always.\n\nmax_tokens: 50 \ntemperature: 0\neffort: low\n---\n"
	p := loaded(t, head+"Classify {{.Text}}")
	s, ctx := scriptedClient(t, says("a"), says("b"), says(`{"N":1}`), says("d"), says("e"))
	var r Response
	if _, err := GenerateText(ctx, "", "", Render(p, data), Result(&r)); err != nil {
		t.Fatal(err)
	}
	got := s.requests[0]
	if r.Asked != "smart" || got.System != "Be kind: always." || got.MaxTokens != 50 || got.Temperature == nil || *got.Temperature != 0 || got.Effort != "low" || got.Messages[0].Text != "Classify abc" {
		t.Errorf("asked %q with %+v", r.Asked, got)
	}
	for i, opts := range [][]Option{
		{MaxTokens(7), Temperature(1), Effort("high"), System("Be short."), Render(p, data)},
		{Render(p, data), MaxTokens(7), Temperature(1), Effort("high"), System("Be short.")},
	} {
		var err error
		if i == 0 {
			_, err = GenerateText(ctx, "fake:two", "", append(opts, Result(&r))...)
		} else {
			_, err = GenerateObject[struct{ N int }](ctx, "fake:two", "", append(opts, Result(&r))...)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := s.requests[i+1]
		if r.Asked != "fake:two" || got.System != "Be short." || got.MaxTokens != 7 || *got.Temperature != 1 || got.Effort != "high" {
			t.Errorf("%d: asked %q with %+v", i, r.Asked, got)
		}
	}
	for i, text := range []string{"\ufeff---\n---\n{{.Text}}\n---\n", "{{.Text}}\n---\n"} {
		if _, err := GenerateText(ctx, "smart", "", Render(loaded(t, text), data)); err != nil {
			t.Fatal(err)
		}
		if got := s.requests[3+i]; got.Messages[0].Text != "abc\n---\n" || got.MaxTokens != defaultMaxTokens {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// A model that neither the call nor the head names is missed, before anything is sent.
func TestPromptFileWithoutModel(t *testing.T) {
	s, ctx := scriptedClient(t)
	p := loaded(t, "---\nmax_tokens: 5\n---\nhello")
	if _, err := GenerateText(ctx, "", "", Render(p, nil)); !IsKind(err, Invalid) || len(s.requests) != 0 {
		t.Errorf("%v, %d requests", err, len(s.requests))
	}
}

// The hash that stands with each call is that of the whole file: the head is part of the version.
func TestPromptFileHash(t *testing.T) {
	_, ctx := scriptedClient(t, says("a"), says("b"), says("c"))
	versions := map[string]bool{}
	for _, text := range []string{"hello", "---\nmax_tokens: 5\n---\nhello", "---\nmax_tokens: 6\n---\nhello"} {
		j := step()
		p := loaded(t, text)
		if err := j.Run(ctx, func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "", Render(p, nil)); return err }); err != nil {
			t.Fatal(err)
		}
		list := infos(must(j.history(ctx)))
		if len(list) != 1 || !strings.HasPrefix(list[0].Prompt, "classify@") {
			t.Fatalf("%+v", list)
		}
		versions[list[0].Prompt] = true
	}
	if len(versions) != 3 {
		t.Errorf("the versions are %v", versions)
	}
	if a, b := loaded(t, "hello"), must(NewPrompt("classify", "hello")); a.hash != b.hash {
		t.Error("a file without a head has another hash than its text")
	}
}

// What is wrong with a file is found out when it is loaded, with its name and line.
func TestPromptFileRefused(t *testing.T) {
	for text, want := range map[string]string{
		"---\nmodel: smart\nHello": "line 3: \"Hello\" is no line of a head",
		"---\nmodel: smart\n":      "line 1: the head begins with --- and has no end",
		"---":                      "line 1: the head begins",
		"---\nmodel: smart\nmax_token: 5\n---\nx":              `line 3: "max_token" is no key; the keys are effort, max_tokens, model, system, temperature`,
		"---\nmax_tokens: many\n---\nx":                        `line 2: max_tokens is "many"; give a whole number`,
		"---\nmax_tokens: 0\n---\nx":                           "line 2: MaxTokens is 0; give",
		"---\ntemperature: NaN\n---\nx":                        "line 2: Temperature is NaN",
		"---\ntemperature: warm\n---\nx":                       "line 2: temperature is \"warm\"",
		"---\neffort: huge\n---\nx":                            "line 2: Effort is \"huge\"",
		"---\nsystem:\n---\nx":                                 "line 2: system has no value",
		"---\nsystem: |\n  two\n---\nx":                        "line 2: system is |; a value is the rest of the line",
		"---\nmodel: \"smart\"\n---\nx":                        "has no quotes",
		"---\nmodel: a\nmodel: b\n---\nx":                      "line 3: model is there twice",
		"---\nmodel: openai@http://127.0.0.1/v1:x\n---\nx":     "only configuration and environment may choose",
		"---\nmodel: " + strings.Repeat("x", 500) + "\n---\nx": "is no model",
		"---\nmodel: smart\n---\n\n{{.Text":                    "classify:5:",
	} {
		_, err := LoadPrompt(fstest.MapFS{"prompts/classify.md": {Data: []byte(text)}}, "prompts/classify.md")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "classify") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
