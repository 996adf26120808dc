package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/durable-go/durable/ai"
)

// clerk stands in for a language model, so that this example needs no key: a few rules, and it believes what it reads. A
// real one is chosen by AI_MODEL_SMART; nothing else changes.
type clerk struct{}

// Open is that of a provider.
func (clerk) Open(string) (ai.Model, error) { return clerk{}, nil }

// Generate decides what comes next from the conversation alone, as models do.
func (clerk) Generate(_ context.Context, r *ai.Request, _ func(ai.Delta)) (*ai.Response, error) {
	mail, results := read(r.Messages)
	number := lastWord(mail)
	found, lost := results["find_order"], results["track"]
	var f Found
	_ = json.Unmarshal([]byte(found.Text), &f) // if it was found
	switch {
	case strings.Contains(mail, "IGNORE"): // it obeys
		if _, asked := results["refund"]; !asked {
			return use("refund", Refund{"20", 900})
		}
		return says("Of course. " + results["refund"].Text)
	case found.Text == "":
		return use("find_order", Order{number})
	case found.Failed:
		return says("I cannot find that order. Is the number right?")
	case lost.Text == "" || lost.Failed:
		return use("track", Order{number})
	case lost.Text != "lost":
		return says("Your parcel is " + lost.Text + ".")
	}
	switch back := results["refund"]; {
	case back.Text == "":
		return use("refund", Refund{number, f.Euros})
	case back.Failed:
		return says("Your parcel is lost. A colleague will write to you.")
	default:
		return says("Your parcel is lost. " + back.Text + ".")
	}
}

// read finds the mail, and the last result of each tool.
func read(messages []ai.Message) (mail string, results map[string]ai.Message) {
	results = make(map[string]ai.Message)
	asked := make(map[string]string)
	for _, m := range messages {
		if m.Role == ai.User {
			mail = m.Text
		}
		for _, c := range m.Calls {
			asked[c.ID] = c.Name
		}
		if name := asked[m.CallID]; m.CallID != "" {
			results[name] = m
		}
	}
	return mail, results
}

func use(tool string, args any) (*ai.Response, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	call := ai.ToolCall{ID: fmt.Sprintf("%s-%x", tool, len(raw)), Name: tool, Args: raw}
	return reply(ai.Message{Role: ai.Assistant, Calls: []ai.ToolCall{call}}, ai.StopTools)
}

func says(text string) (*ai.Response, error) {
	return reply(ai.Message{Role: ai.Assistant, Text: text}, ai.StopEnd)
}

func reply(m ai.Message, stop ai.Stop) (*ai.Response, error) {
	return &ai.Response{Message: m, Stop: stop, Usage: ai.Usage{Input: 100, Output: 20, Estimated: true}}, nil
}

func lastWord(text string) string {
	words := strings.Fields(strings.Trim(text, "?!. "))
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}
