package examples_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// [form]
type Expense struct {
	Amount  int    `json:"amount" durable:"label=Amount, in EUR;required;min=1;max=5000"`
	Purpose string `json:"purpose" durable:"required;max=200;help=What it was for"`
	Account string `json:"account" durable:"enum=travel|office;default=office"`
}

func claimExpense(ctx context.Context, c *Claim) error {
	e, err := durable.WaitForForm[Expense](ctx, "expense", durable.Prompt("What did you spend?"))
	c.Expense = e
	return err
}

// [/form]

// Claim is the state of the runs of this guide.
type Claim struct {
	Expense Expense  `json:"expense"`
	Centre  string   `json:"centre,omitempty"`
	Labels  []string `json:"labels,omitempty"`
	Text    string   `json:"text,omitempty"`
	Status  string   `json:"status,omitempty"`
}

// [choice]
func assign(ctx context.Context, c *Claim) (err error) {
	c.Centre, err = durable.WaitForChoice(ctx, "centre", []durable.ChoiceOf[string]{
		{Value: "4711", Label: "Research"},
		{Value: "4712", Label: "Sales"},
	})
	if err != nil {
		return err
	}
	c.Labels, err = durable.WaitForChoices(ctx, "labels", durable.ChoicesOf("urgent", "private"), durable.Length(0, 1))
	if err != nil {
		return err
	}
	c.Text, err = durable.WaitForText(ctx, "text", durable.Length(1, 500), durable.Multiline())
	return err
}

// [/choice]

// [remind]
func approveClaim(ctx context.Context, c *Claim) error {
	a, err := durable.WaitForApproval(ctx, "approve",
		durable.Assignee("ada"),
		durable.Reminder(24*time.Hour, 48*time.Hour),
		durable.Escalate(72*time.Hour, "team:finance"),
		durable.Timeout(7*24*time.Hour))
	var cancelled *durable.WaitCancelled
	switch {
	case errors.As(err, &cancelled): // by engine.CancelWait
		c.Status = "withdrawn: " + cancelled.Reason
		return nil
	case err != nil:
		return err
	}
	c.Status = fmt.Sprint("approved: ", a.Approved)
	return nil
}

// [/remind]

// [calendar]
func nextMorning(ctx context.Context, _ *Claim) error {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return err
	}
	when, err := durable.Do(ctx, "when", func(context.Context) (time.Time, error) {
		return durable.NextBusinessDay(time.Now(), 9, berlin), nil
	})
	if err != nil {
		return err
	}
	return durable.SleepUntil(ctx, when)
}

// [/calendar]

// [schema]
func chooseSome(ctx context.Context, c *Claim) error {
	schema := json.RawMessage(`{
		"type": "array", "minItems": 1,
		"items": {"enum": ["approve", "reject"]}
	}`)
	raw, err := durable.WaitForInput[json.RawMessage](ctx, "decide", durable.Schema(schema))
	c.Status = string(raw)
	return err
}

// [/schema]

func Example_schema() {
	ctx := context.Background()
	w := durable.Define("decide", durable.Step("decide", chooseSome))
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Claim{})
	awaitQuestion(engine, run.ID)
	var refused *durable.AnswerError
	err := engine.ProvideInput(ctx, run.ID, "decide", []string{"approve", "maybe"})
	fmt.Println(errors.As(err, &refused), refused.Fields)
	fmt.Println(engine.ProvideInput(ctx, run.ID, "decide", []string{"approve"}))
	c, err := run.Wait(ctx)
	fmt.Println(c.Status, err)
	// Output:
	// true [{/1 it must be one of "approve", "reject"}]
	// <nil>
	// ["approve"] <nil>
}

func Example_inputs() {
	_ = nextMorning // it would sleep until tomorrow
	ctx := context.Background()
	w := durable.Define("claim",
		durable.Step("claim", claimExpense),
		durable.Step("assign", assign),
		durable.Step("approve", approveClaim),
	)
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Claim{})
	await := func(name string) {
		for awaitQuestion(engine, run.ID).Name != name {
			<-time.After(time.Millisecond)
		}
	}

	await("expense")
	// [refused]
	err := engine.ProvideInput(ctx, run.ID, "expense", map[string]any{"amount": 0, "account": "gifts"})
	var refused *durable.AnswerError
	if errors.As(err, &refused) {
		for _, f := range refused.Fields {
			fmt.Println(f.Path, f.Message)
		}
	}
	// [/refused]
	if err := engine.ProvideInput(ctx, run.ID, "expense", Expense{Amount: 12, Purpose: "tea", Account: "office"}); err != nil {
		fmt.Println(err)
	}
	await("centre")
	// [early]
	err = engine.ProvideInput(ctx, run.ID, "text", "for the guests", durable.Early())
	// [/early]
	fmt.Println(err)
	_ = engine.ProvideInput(ctx, run.ID, "centre", "4712")
	await("labels")
	_ = engine.ProvideInput(ctx, run.ID, "labels", []string{"urgent"})
	await("approve")

	// [extend]
	err = engine.ExtendWait(ctx, run.ID, "approve", 14*24*time.Hour, durable.By("eve")) // 14 days from now
	// [/extend]
	fmt.Println(err)
	// [mine]
	page, err := engine.PendingInputs(ctx, durable.InputFilter{Assignee: "ada"})
	// [/mine]
	fmt.Println(len(page.Inputs), err)
	// [cancel]
	err = engine.CancelWait(ctx, run.ID, "approve", "the guests did not come", durable.By("eve"))
	// [/cancel]
	fmt.Println(err)
	c, err := run.Wait(ctx)
	fmt.Println(c.Expense, c.Centre, c.Labels, c.Text, c.Status, err)
	// Output:
	// /account it must be one of "travel", "office"
	// /amount it must be at least 1
	// /purpose it is missing
	// <nil>
	// <nil>
	// 1 <nil>
	// <nil>
	// {12 tea office} 4712 [urgent] for the guests withdrawn: the guests did not come <nil>
}
