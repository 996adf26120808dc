package ai

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

type bill struct {
	Number string `json:"number" jsonschema:"as printed"`
	Total  int    `json:"total"`
	Lines  []int  `json:"lines"`
}

func (b bill) Validate() error {
	sum := 0
	for _, l := range b.Lines {
		sum += l
	}
	if sum != b.Total {
		return fmt.Errorf("the lines add up to %d, and total is %d", sum, b.Total)
	}
	return nil
}

const (
	wrongBill = "Here you are:\n```json\n{\"number\":\"7\",\"total\":5,\"lines\":[1,2]}\n```\n"
	rightBill = `{"number":"7","total":3.0,"lines":[1,2]}`
)

// One repair turn quotes what Validate says, and the second answer is returned.
func TestAI25_ObjectRepair(t *testing.T) {
	s, ctx := scriptedClient(t, says(wrongBill), says(rightBill))
	j := step()
	var got bill
	var r Response
	err := j.Run(ctx, func(ctx context.Context) (err error) {
		got, err = GenerateObject[bill](ctx, "smart", "read it", Result(&r))
		return err
	})
	if err != nil || got.Total != 3 || len(s.requests) != 2 || r.Usage.Output != 10 {
		t.Fatalf("%+v, %v, %d requests, %+v", got, err, len(s.requests), r.Usage)
	}
	last := s.requests[1].Messages
	if n := len(last); n != 3 || !strings.Contains(last[2].Text, "the lines add up to 3, and total is 5") || last[1].Text != wrongBill {
		t.Errorf("the repair turn is %+v", last)
	}
	if !strings.Contains(string(s.requests[0].Schema), `"description":"as printed"`) {
		t.Errorf("schema %s", s.requests[0].Schema)
	}
}

// After repair the last object that could be decoded comes with BadAnswer.
func TestAI25_BadAnswer(t *testing.T) {
	s, ctx := scriptedClient(t, says(wrongBill), says(`{"number":7}`))
	j := step()
	var got bill
	err := j.Run(ctx, func(ctx context.Context) (err error) {
		got, err = GenerateObject[bill](ctx, "smart", "read it")
		return err
	})
	var e *Error
	if !errors.As(err, &e) || e.Kind != BadAnswer || got.Number != "7" || got.Total != 5 || len(s.requests) != 2 {
		t.Fatalf("%+v, %v, %d requests", got, err, len(s.requests))
	}
	for _, want := range []string{"/lines: it is missing", "/number: got number, want string", "/total: it is missing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if e.Usage.Output != 10 {
		t.Errorf("usage %+v", e.Usage)
	}
}

// A bad answer under Keep ended an attempt: the next asks once more, and keeps what is good.
func TestObjectKeep(t *testing.T) {
	s, ctx := scriptedClient(t, says(wrongBill), says(wrongBill), says(rightBill))
	j := step()
	flaky := errors.New("the database is away")
	body := func(ctx context.Context) error {
		_, err := GenerateObject[bill](ctx, "smart", "read it", Keep())
		if err == nil && j.Step.Failures < 3 {
			err = flaky
		}
		return err
	}
	for i, want := range []bool{false, true, true} {
		if err := j.Run(ctx, body); errors.Is(err, flaky) != want || !want && !IsKind(err, BadAnswer) {
			t.Fatalf("attempt %d: %v", i+1, err)
		}
	}
	if err := j.Run(ctx, body); err != nil || len(s.requests) != 3 {
		t.Errorf("%v, %d requests, want 3", err, len(s.requests))
	}
}

type colour string

func (colour) Values() []string { return []string{"red", "green"} }

// Never a value that is not listed.
func TestAI27_Classify(t *testing.T) {
	for name, c := range map[string]struct {
		lines []line
		want  colour
		kind  Kind
	}{
		"at once":     {[]line{says(`{"value":"red"}`)}, "red", ""},
		"mended":      {[]line{says(`red`), says(`{"value":"green"}`)}, "green", ""},
		"not listed":  {[]line{says(`{"value":"blue"}`), says(`{"value":"Red"}`)}, "", BadAnswer},
		"no json":     {[]line{says(`red`), says(`}{`)}, "", BadAnswer},
		"twice":       {[]line{says(`{"value":"red","why":"x"}`), says(`{}`)}, "", BadAnswer},
		"null":        {[]line{says(`{"value":null}`), says(`null`)}, "", BadAnswer},
		"of no value": {[]line{says(`{"value":""}`), says(`{"value":["red"]}`)}, "", BadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := scriptedClient(t, c.lines...)
			got, err := Classify[colour](ctx, "smart", "as red as grass")
			var e *Error
			errors.As(err, &e)
			if (err == nil) != (c.kind == "") || e != nil && e.Kind != c.kind || len(s.requests) != len(c.lines) {
				t.Errorf("%q, %v, %d requests", got, err, len(s.requests))
			}
			if err == nil && got != c.want || got != "" && got != "red" && got != "green" {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

type endless struct {
	Name string    `json:"name"`
	Next []endless `json:"next"`
}

// What cannot be asked for is refused before any request.
func TestAI26_Unusable(t *testing.T) {
	s, ctx := scriptedClient(t)
	if _, err := GenerateObject[endless](ctx, "smart", "x"); !IsKind(err, Invalid) || !strings.Contains(err.Error(), "contains itself") {
		t.Error(err)
	}
	if _, err := GenerateObject[chan int](ctx, "smart", "x"); !IsKind(err, Invalid) {
		t.Error(err)
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests", len(s.requests))
	}
}

// An object that MaxTokens cut off is asked for once more, with room for twice as much.
func TestObjectTruncated(t *testing.T) {
	cut := func(context.Context, *Request, func(Delta)) (*Response, error) {
		return &Response{Message: Message{Text: `{"number":`}, Stop: StopLength}, nil
	}
	for _, c := range []struct {
		lines []line
		kind  Kind
	}{{[]line{cut, says(rightBill)}, ""}, {[]line{cut, cut}, Truncated}} {
		s, ctx := scriptedClient(t, c.lines...)
		_, err := GenerateObject[bill](ctx, "smart", "x", MaxTokens(100))
		if (err == nil) != (c.kind == "") || c.kind != "" && !IsKind(err, c.kind) || len(s.requests) != 2 || s.requests[1].MaxTokens != 200 {
			t.Errorf("%v, %d requests", err, len(s.requests))
		}
	}
	s, ctx := scriptedClient(t, cut)
	if text, err := GenerateText(ctx, "smart", "x"); err != nil || text != `{"number":` || len(s.requests) != 1 {
		t.Errorf("a text may be cut: %q, %v", text, err)
	}
}

// Values that are no objects, and pointers, travel as well.
func TestObjectShapes(t *testing.T) {
	_, ctx := scriptedClient(t, says(`{"value":[1,2]}`), says(`{"value":7}`), says(rightBill), says(`{"a":{"value":1}}`))
	if v, err := GenerateObject[[]int](ctx, "smart", "x"); err != nil || len(v) != 2 {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := GenerateObject[int](ctx, "smart", "x"); err != nil || v != 7 {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := GenerateObject[*bill](ctx, "smart", "x"); err != nil || v.Total != 3 {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := GenerateObject[map[string]struct {
		Value int `json:"value"`
	}](ctx, "smart", "x"); err != nil || v["a"].Value != 1 {
		t.Errorf("%v, %v", v, err)
	}
}
