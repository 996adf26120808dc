package ai

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// run asks and runs tools until the model has answered the last prompt.
func (v *conversation) run(ctx context.Context) (*AgentResult, error) {
	limit := v.agent.MaxTurns
	if limit == 0 {
		limit = defaultTurns
	}
	for range limit {
		if done, err := v.once(ctx); err != nil || done {
			return v.result(), err
		}
	}
	return v.result(), permanent(&Error{
		Kind: OutOfTurns, Model: v.agent.Model,
		Err: fmt.Errorf("agent %s has no answer after %d turns; raise MaxTurns if it is on its way", v.label, limit),
	})
}

// once is one turn, with the tools that it asks for.
func (v *conversation) once(ctx context.Context) (done bool, err error) {
	v.turn++
	resp, err := v.client.ask(ctx, v.j, v.request())
	if err != nil {
		v.turn--
		return false, err
	}
	v.pay(ctx, expense{resp.Usage, resp.Cost, 1})
	if v.set.result != nil {
		*v.set.result = *resp
	}
	v.messages = append(v.messages, resp.Message)
	switch {
	case len(resp.Message.Calls) > 0:
		results, err := v.use(ctx, resp)
		if err != nil {
			v.messages = v.messages[:len(v.messages)-1] // calls without results are no conversation
			return false, err
		}
		v.messages = append(v.messages, results...)
		return v.wants != nil && v.wants.done, nil
	case resp.Stop == StopPause: // once too often
		if v.pauses++; v.pauses <= v.info.Failures { // that ended an earlier attempt
			return false, nil
		}
		return false, &Error{Kind: BadAnswer, Model: resp.Served, Code: string(StopPause), Usage: resp.Usage, Err: errors.New("the model pauses again and again, and does not end its answer")}
	case v.wants == nil:
		return true, nil
	}
	return false, v.wants.remind(v)
}

// pay counts what was spent, here and in the agent whose tool this one is.
func (v *conversation) pay(ctx context.Context, s expense) {
	v.paid.add(s)
	if u := usingOf(ctx); u != nil && u.paid != nil {
		u.paid.add(s)
	}
}

// paySub counts what an agent that is a tool has spent, against the budget, too.
func (v *conversation) paySub(ctx context.Context, s expense) {
	v.pay(ctx, s)
	if v.purse != nil {
		v.purse.add(spending{Money: s.cost.Known, Tokens: s.usage.Total(), Calls: s.calls})
	}
}

// use is one call of a tool that the model asks for.
type use struct {
	turn, n int // from 1
	id      string
	name    string // of the tool, as the model says it
	tool    *tool  // nil: there is none
	said    []byte // arguments, as the model gives them
	args    []byte // canonical; nil: they do not fit
	text    string // of the turn
	refused string // why it does not run, unless it was begun before; "": it does
	guarded bool   // a person must agree
	done    bool
	result  Message
}

// at is the place of a call: turn and number.
func (u *use) at() string { return strconv.Itoa(u.turn) + "." + strconv.Itoa(u.n) }

// use runs what the model asks for, and returns the results in the order in which it asked.
func (v *conversation) use(ctx context.Context, resp *Response) ([]Message, error) {
	uses := make([]*use, len(resp.Message.Calls))
	for i, c := range resp.Message.Calls {
		u := &use{turn: v.turn, n: i + 1, id: c.ID, name: c.Name, tool: v.tools[c.Name], said: c.Args, text: resp.Message.Text}
		uses[i] = u
		if i >= maxCalls {
			u.refused = fmt.Sprintf("these are more than %d calls at once; call it again later", maxCalls)
			continue
		}
		if u.tool == nil {
			u.refused = fmt.Sprintf("there is no tool %q; call only those that are declared", clip(c.Name, 80))
			continue
		}
		args, err := u.tool.take(c.Args)
		if u.args = args; err != nil {
			u.refused = "the arguments do not fit: " + err.Error()
		}
	}
	if v.wants != nil {
		if err := v.wants.take(ctx, v, uses); err != nil {
			return nil, err
		}
	}
	if err := v.guard(ctx, uses); err != nil {
		return nil, err
	}
	if err := v.execute(ctx, uses, func(u *use) bool { return !u.guarded }); err != nil {
		return nil, err
	}
	if err := v.approvals(ctx, uses); err != nil {
		return nil, err
	}
	if err := v.execute(ctx, uses, func(u *use) bool { return u.guarded }); err != nil {
		return nil, err
	}
	results := make([]Message, len(uses))
	for i, u := range uses {
		results[i] = u.result
	}
	return results, nil
}
