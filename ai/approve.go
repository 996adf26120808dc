package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNoApproval is the error of an agent whose model asks for something to which a person must agree, where nobody can
// be asked: outside of a run, or in a step that cannot wait. The tool has not run.
var ErrNoApproval = errors.New("ai: a person must agree to this call, and here nobody can be asked")

// ApprovalDetails is what people see who are to agree to what an agent wants to do. The answer is a JSON object with
// one Decision for each call, by its Call.
type ApprovalDetails struct {
	Agent string        `json:"agent"`
	Turn  int           `json:"turn"`
	Text  string        `json:"text,omitempty"` // what the model says with it; nobody has checked that
	Cost  string        `json:"cost"`           // of the agent so far
	Calls []GuardedCall `json:"calls"`
	Note  string        `json:"note,omitempty"` // why it is asked again
}

// Approve is the answer that approves all calls.
func (d ApprovalDetails) Approve() map[string]Decision { return d.all(Decision{Decision: "approve"}) }

// Reject is the answer that rejects all calls, for a reason that the model reads.
func (d ApprovalDetails) Reject(reason string) map[string]Decision {
	return d.all(Decision{Decision: "reject", Reason: reason})
}

func (d ApprovalDetails) all(one Decision) map[string]Decision {
	answer := make(map[string]Decision)
	for _, c := range d.Calls {
		one.Hash = c.Hash
		answer[c.Call] = one
	}
	return answer
}

// GuardedCall is a call of a tool to which a person must agree.
type GuardedCall struct {
	Call        string          `json:"call"` // turn and number, as 3.1
	Tool        string          `json:"tool"`
	Description string          `json:"description"`
	Args        json.RawMessage `json:"args"`
	Hash        string          `json:"hash"` // of this call in this run, with its tool and arguments
}

// Decision is what a person says to one call.
type Decision struct {
	// Decision is "approve", "reject", or "edit": approved, with the arguments in Args.
	Decision string `json:"decision"`
	// Hash is that of the call. A decision for another hash is for another call, and is refused.
	Hash string `json:"hash"`
	// Reason is for the model, with a reject.
	Reason string `json:"reason,omitempty"`
	// Args are the arguments to use instead, with an edit. They must fit the tool, too.
	Args json.RawMessage `json:"args,omitempty"`
}

// callHash binds a decision to a call: its run, step and place, the tool and the canonical arguments. So an answer that is given
// again, by a click or a retry, does not fit another wait of the same name, however equal what is asked there.
func (v *conversation) callHash(u *use) string {
	return hashOf([]byte(v.key + "\x00" + v.label + "\x00" + u.at() + "\x00" + argsHash(u.name, u.args)))
}

// plan is recorded before a person is asked: to which calls of the turn somebody must agree.
type guardPlan struct {
	Ask map[string]string `json:"ask"` // hash of the arguments by call
}

func (p *guardPlan) whole() error {
	if p.Ask == nil {
		return errors.New("it says not who is asked")
	}
	return nil
}

// Of questions to people.
const (
	maxAgain = 10      // times that they may answer what cannot be
	maxShown = 8 << 10 // bytes of what the model says with its calls
)

// guard finds out to which calls a person must agree. What was begun before is not asked for again. Once it is recorded who
// is asked for what, that stays so, and what needs a yes only since then is refused.
func (v *conversation) guard(ctx context.Context, uses []*use) error {
	name := v.name("plan", fmt.Sprint(v.turn))
	planned := v.j.Recorded(ctx, name)
	plan, size := guardPlan{Ask: map[string]string{}}, 0
	var needs []*use
	for _, u := range uses {
		began := v.name("tool", u.at())
		if u.done || u.refused != "" || v.j.Recorded(ctx, began) || v.j.Recorded(ctx, began+"/try") || !u.tool.guarded(u.args) {
			continue
		}
		if v.outside || !v.info.CanWait {
			return permanent(fmt.Errorf("%w: tool %s of agent %s", ErrNoApproval, u.name, v.label))
		}
		if size+len(u.args) > maxApproved {
			u.refused = fmt.Sprintf("a person must agree to this call, and is shown arguments of at most %d bytes in a turn", maxApproved)
			continue
		}
		size += len(u.args)
		needs = append(needs, u)
		plan.Ask[u.at()] = v.callHash(u)
	}
	if !planned && len(needs) == 0 {
		return nil
	}
	known, err := record(ctx, v.j, name, func(context.Context) (*guardPlan, error) { return &plan, nil })
	if err != nil {
		return ended(ctx, err)
	}
	plan = *known
	for _, u := range needs {
		if _, asked := plan.Ask[u.at()]; !asked {
			u.refused = "a person must agree to this call, and was not asked; call it again"
		}
	}
	for _, u := range uses {
		hash, asked := plan.Ask[u.at()]
		if u.guarded = asked; asked && u.refused == "" && hash != v.callHash(u) {
			u.refused = "the tool has changed since a person was asked about this call; call it again"
		}
	}
	return nil
}

// approvals asks a person about all guarded calls of a turn at once.
func (v *conversation) approvals(ctx context.Context, uses []*use) error {
	var open []*use
	for _, u := range uses {
		if u.guarded && u.refused == "" {
			open = append(open, u)
		}
	}
	if len(open) == 0 {
		return nil
	}
	name := fmt.Sprintf("approve:%s[%d]", v.label, v.turn)
	note := ""
	for range maxAgain {
		raw, err := v.j.Ask(ctx, name, v.question(open, note))
		if err != nil {
			return ended(ctx, err)
		}
		if note = v.decide(open, raw); note == "" {
			return nil
		}
	}
	for _, u := range open { // a person who cannot say yes has not said it
		u.refused = "a person was asked, and gave no answer that can be used"
	}
	return nil
}

// question is what a person is asked. Its schema binds each decision to the hash of its call, and edited
// arguments to the schema of its tool, so that what does not fit is refused when it is given.
func (v *conversation) question(open []*use, note string) Question {
	details := ApprovalDetails{Agent: v.label, Turn: v.turn, Text: clip(open[0].text, maxShown), Cost: v.paid.cost.String(), Note: note}
	properties, tools, late := map[string]any{}, map[string]any{}, map[string]Decision{}
	var names, calls []string
	within := time.Duration(0)
	for _, u := range open {
		hash := v.callHash(u)
		details.Calls = append(details.Calls, GuardedCall{u.at(), u.name, u.tool.description, u.args, hash})
		properties[u.at()] = map[string]any{
			"type": "object", "additionalProperties": false, "required": []string{"decision", "hash"},
			"properties": map[string]any{
				"decision": map[string]any{"type": "string", "enum": []string{"approve", "reject", "edit"}},
				"hash":     map[string]any{"const": hash},
				"reason":   map[string]any{"type": "string", "maxLength": 4000},
				"args":     map[string]any{"$ref": "#/$defs/" + u.name},
			},
			"if":   map[string]any{"properties": map[string]any{"decision": map[string]any{"const": "edit"}}},
			"then": map[string]any{"required": []string{"args"}},
			"else": map[string]any{"properties": map[string]any{"args": false}},
		}
		tools[u.name] = json.RawMessage(u.tool.schema)
		late[u.at()] = Decision{Decision: "reject", Hash: hash, Reason: "nobody answered in time"}
		names, calls = append(names, u.at()), append(calls, u.name)
		if d := u.tool.within; d > 0 && (within == 0 || d < within) {
			within = d
		}
	}
	q := Question{
		Prompt:  fmt.Sprintf("The agent %s wants to call %s. Approve, edit or reject each call.", v.label, strings.Join(calls, ", ")),
		Details: details,
		Schema:  canonical(map[string]any{"type": "object", "additionalProperties": false, "required": names, "properties": properties, "$defs": tools}),
	}
	if within > 0 {
		q.Timed, q.Timeout, q.Default = true, within, canonical(late)
	}
	return q
}

// decide applies the decisions of a person, all or none: then it says what is wrong with them.
func (v *conversation) decide(open []*use, raw json.RawMessage) (note string) {
	var answer map[string]Decision
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "the answer cannot be read: " + err.Error()
	}
	edited := make([][]byte, len(open))
	for i, u := range open {
		d, given := answer[u.at()]
		switch {
		case !given:
			return fmt.Sprintf("there is no decision for call %s", u.at())
		case d.Hash != v.callHash(u):
			return fmt.Sprintf("the decision for call %s is for other arguments", u.at())
		case d.Decision == "edit":
			args, err := u.tool.take(d.Args)
			if err != nil {
				return fmt.Sprintf("the arguments given for call %s do not fit: %v", u.at(), err)
			}
			edited[i] = args
		case d.Decision != "approve" && d.Decision != "reject":
			return fmt.Sprintf("the decision for call %s is %q", u.at(), clip(d.Decision, 80))
		}
	}
	for i, u := range open {
		switch d := answer[u.at()]; d.Decision {
		case "edit":
			u.args = edited[i]
		case "reject":
			u.refused = "a person has rejected this call"
			if d.Reason != "" {
				u.refused += ": " + valid(d.Reason)
			}
		}
	}
	return ""
}
