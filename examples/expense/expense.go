package main

import (
	"context"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// Expense is what somebody fills in. The form is made of it.
type Expense struct {
	Amount  int    `json:"amount" durable:"label=Amount, in EUR;required;min=1;max=10000"`
	Purpose string `json:"purpose" durable:"required;max=200;help=What it was for"`
	Account string `json:"account" durable:"enum=travel|office;default=office"`
}

// Claim is somebody's wish for their money.
type Claim struct {
	Who      string           `json:"who"`
	Expense  Expense          `json:"expense"`
	Approval durable.Approval `json:"approval"`
	Status   string           `json:"status,omitempty"`
}

// limit is what needs no approval.
const limit = 100

// claims is the workflow. What is above the limit needs a yes: of the lead, who is reminded
// after one and two days; of finance, if the lead is silent for three; and after a week of
// silence it is a no.
func claims(day time.Duration) *durable.Workflow[Claim] {
	return durable.Define("expense",
		durable.Input("claim", func(c *Claim) durable.Ask {
			return durable.Ask{Prompt: "What did you spend?", Options: []durable.WaitOption{durable.Assignee(c.Who)}}
		}, func(c *Claim, e Expense) { c.Expense = e }).Form(),

		durable.Input("approve", func(c *Claim) durable.Ask {
			return durable.Ask{
				Prompt:  fmt.Sprintf("May %s have %d EUR for %s?", c.Who, c.Expense.Amount, c.Expense.Purpose),
				Details: c.Expense,
				Options: []durable.WaitOption{
					durable.Assignee("lead"),
					durable.Reminder(day, 2*day),
					durable.Escalate(3*day, "finance"),
					durable.Timeout(7 * day),
					durable.OnTimeout(durable.Approval{Comment: "nobody answered for a week"}),
				},
			}
		}, func(c *Claim, a durable.Approval) { c.Approval = a }).When(aboveLimit),

		durable.Branch("may_pay", func(c *Claim) bool { return c.Approval.Approved || !aboveLimit(c) }).
			Case(true, durable.Step("pay", pay)).
			Case(false, durable.Step("refuse", refuse)),
	)
}

func aboveLimit(c *Claim) bool { return c.Expense.Amount > limit }

func pay(_ context.Context, c *Claim) error {
	c.Status = "paid"
	if aboveLimit(c) {
		c.Status += ", approved by " + c.Approval.By
	}
	return nil
}

func refuse(_ context.Context, c *Claim) error {
	c.Status = "refused: " + c.Approval.Comment
	return nil
}
