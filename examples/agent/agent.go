package main

import (
	"context"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// Task is what a customer wants, and what the agent has done about it so far.
type Task struct {
	Ask    string `json:"ask"`
	Turns  []Turn `json:"turns,omitempty"`
	Next   Use    `json:"next,omitzero"`    // the tool to be used now, if any
	Answer string `json:"answer,omitempty"` // the end
}

// Turn is a tool that was used, and what it said.
type Turn struct {
	Use  Use    `json:"use"`
	Said string `json:"said"`
}

// Use is a use of a tool.
type Use struct {
	Tool  string `json:"tool,omitempty"`
	Order string `json:"order,omitempty"`
	Euros int    `json:"euros,omitempty"`
	Said  string `json:"said,omitempty"` // what the tool says
}

// agents is the workflow: think, act, look at what came of it, until there is an answer. Each
// thought and each use of a tool is recorded, so an agent that dies in its seventh turn has not
// forgotten the first six, and pays for no thought twice.
func agents(think func(t Task) (Use, string), tools map[string]*durable.Workflow[Use]) *durable.Workflow[Task] {
	return durable.Define("agent",
		durable.Loop("turns", func(t *Task) bool { return t.Answer == "" },
			durable.Step("think", func(_ context.Context, t *Task) error {
				t.Next, t.Answer = think(*t) // here a model would be asked
				return nil
			}),
			durable.Input("may_i", askFirst, answered).When(delicate),
			durable.Branch("uses_a_tool", func(t *Task) bool { return t.Next.Tool != "" }).
				Case(true, durable.Step("act", act(tools)).Retry(durable.Retry{MaxAttempts: 3, Base: 100 * time.Millisecond})),
		).Max(10), // an agent that goes in circles fails, and says so
	)
}

// act uses the tool. A tool is a workflow: it has retries, queues, logs and records of its
// own, and what it has done is not done again when the agent's process dies.
func act(tools map[string]*durable.Workflow[Use]) func(ctx context.Context, t *Task) error {
	return func(ctx context.Context, t *Task) error {
		tool, ok := tools[t.Next.Tool]
		if !ok { // models ask for tools that are not there
			t.said(fmt.Sprintf("there is no tool %q", t.Next.Tool))
			return nil
		}
		done, err := durable.Call(ctx, tool, t.Next)
		if err != nil {
			return err
		}
		t.said(done.Said)
		return nil
	}
}

// delicate tells what an agent must not do by itself.
func delicate(t *Task) bool { return t.Next.Tool == "refund" && t.Next.Euros > 50 }

func askFirst(t *Task) durable.Ask {
	return durable.Ask{
		Prompt:  fmt.Sprintf("Give back %d EUR for order %s?", t.Next.Euros, t.Next.Order),
		Details: t.Turns, // what it knows
		Options: []durable.WaitOption{
			durable.Assignee("support"),
			durable.Timeout(24 * time.Hour),
			durable.OnTimeout(durable.Approval{Comment: "nobody answered"}),
		},
	}
}

// answered takes a no as something that a tool says: the agent may think of something else.
func answered(t *Task, a durable.Approval) {
	if !a.Approved {
		t.said("not allowed: " + a.Comment)
	}
}

// said records what came of the tool that was to be used.
func (t *Task) said(text string) {
	t.Turns = append(t.Turns, Turn{Use: t.Next, Said: text})
	t.Next = Use{}
}
