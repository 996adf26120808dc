package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

type currency string

func (currency) Values() []string { return []string{"EUR", "USD"} }

type place struct {
	City string `json:"city" durable:"required;label=Town"`
	Zip  string `json:"zip" durable:"min=5;max=5"`
}

type expense struct {
	Amount   int       `json:"amount" durable:"label=Amount, in full;required;min=1;max=5000;help=No cents"`
	Purpose  string    `json:"purpose" durable:"required;max=20;multiline"`
	Account  string    `json:"account" durable:"enum=travel|office;default=office"`
	Currency currency  `json:"currency" durable:"default=EUR"`
	Share    float64   `json:"share" durable:"min=0;max=1;default=0.5"`
	Tags     []string  `json:"tags" durable:"max=2;enum=a|b|c"`
	When     time.Time `json:"when,omitzero"`
	Urgent   bool      `json:"urgent"`
	Floor    int8      `json:"floor"`
	Where    place     `json:"where"`
	From     *place    `json:"from"`
	Note     *string   `json:"note"`
	Skipped  chan int  `json:"-"`
}

const goodExpense = `{"amount":12,"purpose":"tea","where":{"city":"Ulm"}}`

// wrongAnswers are answers to an expense, and the fields at fault.
func wrongAnswers() map[string][]string {
	return map[string][]string{
		`{"amount":0,"purpose":"","account":"x","where":{"city":"Ulm"}}`: {"/account", "/amount", "/purpose"},
		`{}`: {"/amount", "/purpose", "/where/city"},
		`{"amount":1,"purpose":"x","where":{"city":""}}`:                                     {"/where/city"},
		`{"amount":1.5,"purpose":"x","where":{"city":"a","zip":"123"}}`:                      {"/amount", "/where/zip"},
		`{"amount":"1","purpose":1,"share":2,"where":7}`:                                     {"/amount", "/purpose", "/share", "/where"},
		`{"amount":1,"purpose":"123456789012345678901","where":{"city":"a"}}`:                {"/purpose"},
		`{"amount":1,"purpose":"x","tags":["a","a"],"where":{"city":"a"}}`:                   {"/tags"},
		`{"amount":1,"purpose":"x","tags":["a","b","c"],"where":{"city":"a"}}`:               {"/tags"},
		`{"amount":1,"purpose":"x","tags":["d"],"floor":128,"where":{"city":"a"}}`:           {"/floor", "/tags/0"},
		`{"amount":1,"purpose":"x","when":"tomorrow","currency":"GBP","where":{"city":"a"}}`: {"/currency", "/when"},
		`{"amount":1,"purpose":"x","where":{"city":"a"},"typo/~x":1,"urgent":"yes"}`:         {"/typo~1~0x", "/urgent"},
		`{"amount":1,"purpose":"x","where":{"city":"a"},"from":{}}`:                          {"/from/city"},
		`{"amount":1,"purpose":null,"where":{"city":"a"}}`:                                   {"/purpose"},
		`{"amount":1e999999999,"purpose":"x","where":{"city":"a"}}`:                          {""},
		`{"amount":1,"purpose":"x","share":-1e-999999999,"where":{"city":"a"}}`:              {""},
		`[]`:     {""},
		`null`:   {""},
		`"text"`: {""},
	}
}

func wantFields(t *testing.T, err error, want []string) {
	t.Helper()
	var bad *durable.AnswerError
	if !errors.As(err, &bad) || !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("error %v, want an AnswerError", err)
		return
	}
	var got []string
	for _, f := range bad.Fields {
		if f.Message == "" || !strings.Contains(err.Error(), f.Message) {
			t.Errorf("%q says nothing, or the error leaves it out", f.Path)
		}
		got = append(got, f.Path)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("wrong fields %q, want %q: %v", got, want, err)
	}
}

func TestIN3_AFormIsCheckedAsAWhole(t *testing.T) {
	var seen tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		x, err := durable.WaitForForm[expense](ctx, "expense", durable.Prompt("What did you spend?"))
		seen.add(fmt.Sprintf("%d %s %s %s %g %s %s", x.Amount, x.Purpose, x.Account, x.Currency, x.Share, x.Where.City, x.Tags))
		n.N = x.Amount
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		seen.reset()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		p, err := e.PendingInputs(ctx, durable.InputFilter{Kind: "form"})
		if err != nil || len(p.Inputs) != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		in := p.Inputs[0]
		var shown []string
		for _, f := range in.Fields {
			shown = append(shown, f.Name+":"+f.Kind)
		}
		const want = "amount:integer purpose:text account:text currency:text share:number tags:list when:time urgent:boolean floor:integer where:group from:group note:text"
		if got := strings.Join(shown, " "); got != want {
			t.Errorf("fields %s, want %s", got, want)
		}
		if f := in.Fields[0]; f.Label != "Amount, in full" || f.Help != "No cents" || !f.Required || f.Min != "1" || f.Max != "5000" || f.Path != "/amount" {
			t.Errorf("the first field is %+v", f)
		}
		if f := in.Fields[9].Fields[0]; f.Label != "Town" || f.Path != "/where/city" {
			t.Errorf("the inner field is %+v", f)
		}
		before := len(e.facts(t, run.ID))
		for text, fields := range wrongAnswers() {
			wantFields(t, e.ProvideInput(ctx, run.ID, "expense", json.RawMessage(text)), fields)
		}
		if x := run.Look(); x.Status != durable.Waiting || len(e.facts(t, run.ID)) != before || e.record(t, run.ID).Inbox != 0 {
			t.Errorf("a refused answer has changed the run: %s", x.Status)
		}
		if err := e.ProvideInput(ctx, run.ID, "expense", json.RawMessage(`{"amount":1.2e1,"purpose":"tea","tags":["b","a"],"where":{"city":"Ulm"}}`)); err != nil {
			t.Fatal(err)
		}
		if got := run.Done(); got.N != 12 || seen.of("12 tea office EUR 0.5 Ulm [b a]") != 1 {
			t.Errorf("state %+v, seen %q", got, seen.all())
		}
	})
}

// review is a form whose Go values have nil in them.
type review struct {
	Verdict string   `json:"verdict" durable:"required"`
	Labels  []string `json:"labels" durable:"enum=a|b"`
	Note    *place   `json:"note"`
	Weight  *int     `json:"weight" durable:"default=3"`
	Reasons []string `json:"reasons"`
}

func TestIN3_AFormTakesItsOwnGoValues(t *testing.T) {
	var seen tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		opts := []durable.WaitOption{durable.Timeout(time.Hour)}
		if n.Kind != "" {
			opts = append(opts, durable.OnTimeout(review{Verdict: n.Kind}))
		}
		x, err := durable.WaitForForm[review](ctx, "review", opts...)
		weight := 0
		if x.Weight != nil {
			weight = *x.Weight
		}
		seen.add(fmt.Sprintln(x.Verdict, x.Labels == nil, x.Note == nil, weight, x.Reasons == nil))
		return err
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		durabletest.Start(e.Engine, w, note{Kind: "none"}).Done()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		wantFields(t, e.ProvideInput(ctx, run.ID, "review", json.RawMessage(`{"verdict":null,"labels":[null],"note":{"city":null}}`)), []string{"/labels/0", "/note/city", "/verdict"})
		if err := e.ProvideInput(ctx, run.ID, "review", review{Verdict: "yes"}); err != nil {
			t.Fatal(err)
		}
		run.Done()
		if seen.of("none true true 0 true\n") != 1 || seen.of("yes true true 3 true\n") != 1 {
			t.Errorf("seen %q", seen.all())
		}
	})
}

type chainLink struct{ Next *chainLink }

type twice struct {
	Town string `json:"city"`
	place
}

type embeds struct {
	*place
	X int
}

func TestIN3_WhatCannotBeAForm(t *testing.T) {
	try := func(ask func(ctx context.Context) error) func(*testing.T, string, ...string) {
		return func(t *testing.T, name string, texts ...string) {
			w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error { return ask(ctx) }))
			inMemory(t, serve(w), func(t *testing.T, e env) {
				run := durabletest.Start(e.Engine, w, note{})
				if x := run.Settle(); x.Status == durable.Waiting {
					t.Fatalf("%s: the question was asked", name)
				}
				_, err := run.End()
				wantError(t, err, nil, texts...)
			})
		}
	}
	form := func(t *testing.T, name string, ask func(ctx context.Context) error, texts ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			try(func(ctx context.Context) error {
				err := ask(ctx)
				if !errors.Is(err, durable.ErrInvalid) {
					t.Errorf("error %v does not wrap ErrInvalid", err)
				}
				return err
			})(t, name, texts...)
		})
	}
	form(t, "channel", asForm[struct{ A, B chan int }], ".A: a channel", ".B: a channel")
	form(t, "function", asForm[struct{ F func() }], ".F: a function")
	form(t, "map", asForm[struct{ M map[string]place }], ".M: a map")
	form(t, "interface", asForm[struct{ Any any }], ".Any: an interface")
	form(t, "recursive", asForm[chainLink], "chainLink.Next", "contains itself")
	form(t, "list of structs", asForm[struct{ L []place }], ".L", "WaitForInput")
	form(t, "bytes", asForm[struct{ B []byte }], ".B: bytes")
	form(t, "raw JSON", asForm[struct{ R json.RawMessage }], ".R: json.RawMessage writes its own JSON")
	form(t, "duration", asForm[struct{ D time.Duration }], ".D: a duration")
	form(t, "complex", asForm[struct{ C complex128 }], ".C: a complex128")
	form(t, "nested", asForm[struct{ In struct{ Deep chan int } }], ".In.Deep: a channel")
	form(t, "no struct", asForm[int], "int is not")
	form(t, "a time", asForm[time.Time], "is not")
	form(t, "empty", asForm[struct{ a int }], "no fields")
	form(t, "twice", asForm[twice], ".City: another field is named \"city\"")
	form(t, "embedded pointer", asForm[embeds], "embedded pointer")
	form(t, "tag key", asForm[struct {
		A int `durable:"maximum=3"`
	}], `.A: the tag has "maximum"`)
	form(t, "tag bounds", asForm[struct {
		A int `durable:"min=3;max=2"`
	}], ".A: min=3 is greater than max=2")
	form(t, "tag type", asForm[struct {
		A int8  `durable:"max=200"`
		B bool  `durable:"min=1"`
		C int   `durable:"min=x"`
		D int   `durable:"enum=1|two"`
		E int   `durable:"default=11;max=10"`
		F int   `durable:"required;default=1"`
		G bool  `durable:"default=yes"`
		H int   `durable:"required=yes"`
		I int   `durable:"label="`
		J uint  `durable:"min=-1"`
		K int   `durable:"min=1;min=2"`
		L place `durable:"min=1"`
	}], ".A: 200", ".B: a boolean has no min", ".C: min=x", ".D: two is no integer", ".E: the default 11", ".F: it is required and has a default", ".G: yes is no boolean",
		".H: required takes no value", ".I: label has no value", ".J: -1", ".K: the tag has min twice", ".L: a group of fields has no min")
	type option = durable.WaitOption
	choose := func(choices []durable.ChoiceOf[string], opts ...option) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := durable.WaitForChoice(ctx, "c", choices, opts...)
			return err
		}
	}
	form(t, "no choices", choose(nil), "0 choices")
	form(t, "choice twice", choose(durable.ChoicesOf("a", "b", "a")), "choice 3", "twice")
	form(t, "no label", choose([]durable.ChoiceOf[string]{{Value: "a"}}), "no label")
	form(t, "length of a choice", choose(durable.ChoicesOf("a"), durable.Length(1, 2)), "Length")
	form(t, "timeout of no choice", choose(durable.ChoicesOf("a"), durable.Timeout(time.Hour), durable.OnTimeout("b")), "OnTimeout")
	several := func(opts ...option) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := durable.WaitForChoices(ctx, "c", durable.ChoicesOf(1, 2), opts...)
			return err
		}
	}
	form(t, "too many", several(durable.Length(3, 0)), "3 of 2")
	form(t, "upside down", several(durable.Length(2, 1)), "Length(2, 1)")
	form(t, "multiline choice", several(durable.Multiline()), "Multiline")
	form(t, "length of an event", func(ctx context.Context) error {
		_, err := durable.WaitForEvent[int](ctx, "e", durable.Length(1, 2))
		return err
	}, "Length")
	for name, opts := range map[string][]option{
		"reminder in the past": {durable.Reminder(0)}, "reminder never": {durable.Reminder(200 * 365 * 24 * time.Hour)},
		"escalation to nobody": {durable.Escalate(time.Hour, "")}, "escalation to a line": {durable.Escalate(time.Hour, "a\nb")},
		"nobody is assigned": {durable.Assignee("")}, "too many reminders": {durable.Reminder(make([]time.Duration, 33)...)},
	} {
		form(t, name, func(ctx context.Context) error {
			_, err := durable.WaitForText(ctx, "t", opts...)
			return err
		})
	}
}

func asForm[T any](ctx context.Context) error {
	_, err := durable.WaitForForm[T](ctx, "f")
	return err
}

func TestIN3_ChoicesAndTexts(t *testing.T) {
	type size struct {
		Name string `json:"name"`
		CM   int    `json:"cm"`
	}
	sizes := []durable.ChoiceOf[size]{{size{"S", 50}, "Small"}, {size{"L", 70}, "Large"}}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		s, err := durable.WaitForChoice(ctx, "size", sizes)
		if err != nil {
			return err
		}
		colours, err := durable.WaitForChoices(ctx, "colours", durable.ChoicesOf("red", "green", "blue"), durable.Length(1, 2))
		if err != nil {
			return err
		}
		text, err := durable.WaitForText(ctx, "text", durable.Length(3, 5), durable.Multiline())
		if err != nil {
			return err
		}
		late, err := durable.WaitForChoice(ctx, "late", durable.ChoicesOf(1, 2), durable.Timeout(time.Hour), durable.OnTimeout(2))
		n.Kind, n.Trace, n.N = s.Name+text, colours, late
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		refuse := func(name string, values ...string) {
			t.Helper()
			run.Settle()
			for _, v := range values {
				wantError(t, e.ProvideInput(ctx, run.ID, name, json.RawMessage(v)), durable.ErrInvalid)
			}
		}
		refuse("size", `"S"`, `{"name":"S","cm":51}`, `{"name":"S"}`, `null`, `[{"name":"S","cm":50}]`)
		p, err := e.PendingInputs(ctx, durable.InputFilter{Name: "size", Kind: "choice"})
		if err != nil || len(p.Inputs) != 1 || len(p.Inputs[0].Choices) != 2 || p.Inputs[0].Choices[1].Label != "Large" || string(p.Inputs[0].Choices[1].Value) != `{"name":"L","cm":70}` {
			t.Fatalf("%+v, %v", p, err)
		}
		run.Answer("size", json.RawMessage(`{"cm":70.0,"name":"L"}`))
		refuse("colours", `[]`, `["red","red"]`, `["red","green","blue"]`, `"red"`, `["pink"]`)
		e.Restart()
		run.Answer("colours", []string{"blue", "red"})
		refuse("text", `"ab"`, `"abcdef"`, `7`, `null`)
		if p, err := e.PendingInputs(ctx, durable.InputFilter{Kind: "text"}); err != nil || len(p.Inputs) != 1 || !p.Inputs[0].Multiline {
			t.Errorf("%+v, %v", p, err)
		}
		run.Answer("text", "äöü\n\u2028") // characters, not bytes
		refuse("late", `3`, `"1"`)
		e.Sleep(2 * time.Hour)
		if got := run.Done(); got.Kind != "Läöü\n\u2028" || strings.Join(got.Trace, " ") != "blue red" || got.N != 2 {
			t.Errorf("state %+v", got)
		}
	})
}

func TestIN5_AnOpenFormIsKeptOverDeploys(t *testing.T) {
	type old struct {
		Count int `json:"count" durable:"required;max=10"`
	}
	type changed struct {
		Count int    `json:"count" durable:"required;max=1000"`
		More  string `json:"more" durable:"required"`
	}
	ask := func(n *note, count int, err error) error {
		n.N = count
		return err
	}
	before := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		x, err := durable.WaitForForm[old](ctx, "f")
		return ask(n, x.Count, err)
	}))
	after := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		x, err := durable.WaitForForm[changed](ctx, "f")
		return ask(n, x.Count, err)
	}))
	onStores(t, serve(before), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, before, note{})
		run.Settle()
		e.Deploy(serve(after))
		ctx := context.Background()
		wantFields(t, e.ProvideInput(ctx, run.ID, "f", map[string]int{"count": 11}), []string{"/count"})
		wantFields(t, e.ProvideInput(ctx, run.ID, "f", map[string]any{"count": 10, "more": "x"}), []string{"/more"})
		run.Answer("f", map[string]int{"count": 10})
		if got := run.Done(); got.N != 10 {
			t.Errorf("state %+v", got)
		}
	})
}

func TestIN4_EarlyAnswers(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		a, err := durable.WaitForForm[expense](ctx, "f")
		if err != nil {
			return err
		}
		ok, err := durable.WaitForApproval(ctx, "ok")
		if err != nil {
			return err
		}
		n.N, n.Kind = a.Amount, fmt.Sprint(a.Account, ok.Approved, ok.By)
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		wantError(t, e.ProvideInput(ctx, run.ID, "f", json.RawMessage(goodExpense)), durable.ErrNoSuchWait)
		for _, text := range []string{`{"amount":0}`, goodExpense, `{"amount":77,"purpose":"x","where":{"city":"b"}}`} {
			if err := e.ProvideInput(ctx, run.ID, "f", json.RawMessage(text), durable.Early(), durable.By("ada")); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.ProvideInput(ctx, run.ID, "ok", true, durable.Early(), durable.By("bob")); err != nil {
			t.Fatal(err)
		}
		wantError(t, e.ProvideInput(ctx, run.ID, "w_0123456789abcdef0123", true, durable.Early()), durable.ErrNoSuchWait)
		wantError(t, e.ProvideInput(ctx, run.ID, "", true, durable.Early()), durable.ErrInvalid)
		wantError(t, e.ProvideInput(ctx, durable.ID{7}, "f", true, durable.Early()), durable.ErrNotFound)
		if x := run.Look(); len(x.Inbox) != 4 || !x.Inbox[0].Early || x.Inbox[0].Name != "f" || string(x.Inbox[1].Payload) != goodExpense {
			t.Errorf("inbox %+v", x.Inbox)
		}
		if got := run.Done(); got.N != 12 || got.Kind != "officetruebob" {
			t.Errorf("state %+v", got)
		}
		x := run.Look()
		if len(x.Inbox) != 1 || !strings.Contains(string(x.Inbox[0].Payload), "77") {
			t.Errorf("left in the inbox: %+v", x.Inbox)
		}
		wantError(t, e.ProvideInput(ctx, run.ID, "f", 1, durable.Early()), durable.ErrRunDone)
	})
}

// An early answer that does not fit: its question opens and says so. One that
// comes as the question has just opened is checked as well.
func TestIN4_AnEarlyAnswerThatDoesNotFit(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) (err error) {
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		n.Kind, err = durable.WaitForText(ctx, "t", durable.Length(1, 3))
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		for _, v := range []any{"too long", 7} {
			if err := e.ProvideInput(ctx, run.ID, "t", v, durable.Early()); err != nil {
				t.Fatal(err)
			}
		}
		run.Settle()
		shown := func(want int) {
			t.Helper()
			p, err := e.PendingInputs(ctx, durable.InputFilter{Execution: run.ID})
			if err != nil || len(p.Inputs) != 1 || len(p.Inputs[0].Notes) != want || p.Inputs[0].Notes[want-1].Kind != "refused" || p.Inputs[0].Notes[0].Text == "" {
				t.Fatalf("%+v, %v", p, err)
			}
			if x := run.Look(); x.Status != durable.Waiting || len(x.Inbox) != 0 {
				t.Fatalf("%s, inbox %+v", x.Status, x.Inbox)
			}
		}
		shown(2)
		// As if the question had opened between the look and the message.
		if err := early(t, e, run.ID, "t", `"far too long"`); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		shown(3)
		if err := early(t, e, run.ID, "t", `"fit"`); err != nil {
			t.Fatal(err)
		}
		if got := run.Done(); got.Kind != "fit" {
			t.Errorf("state %+v", got)
		}
	})
}
