package main

import (
	"context"
	"time"

	"github.com/durable-go/durable"
)

// Trial is somebody who tries the product for four weeks.
type Trial struct {
	Who   string   `json:"who"`
	Mails []string `json:"mails,omitempty"` // what was written to them, in order
	End   string   `json:"end,omitempty"`   // subscribed, closed; empty: the trial ran out
}

// The events that end a trial early.
const (
	subscribed = "subscribed"
	closed     = "closed"
)

const (
	welcome  = "Welcome! You have four weeks."
	halfTime = "Two weeks are left. Can we help?"
)

// trials is the workflow. A week is given, so that a demonstration need not last for months.
func trials(week time.Duration, write func(ctx context.Context, who, text string) error) *durable.Workflow[Trial] {
	mail := func(name, text string) *durable.StepNode[Trial] {
		return durable.Step(name, func(ctx context.Context, t *Trial) error {
			t.Mails = append(t.Mails, text)
			return write(ctx, t.Who, text)
		}).Retry(durable.Retry{MaxAttempts: 10, Max: time.Hour})
	}
	// listen waits a week for one of the events. None is no failure: then it goes on with Next.
	listen := func(ctx context.Context, t *Trial) (durable.Choice, error) {
		came, err := durable.WaitForAny(ctx, []string{subscribed, closed}, durable.Timeout(week), durable.OnTimeout(nil))
		if err != nil || came.Name == "" {
			return durable.Next, err
		}
		t.End = came.Name
		return durable.Goto("end"), nil
	}
	return durable.Define("trial",
		mail("welcome", welcome),
		durable.Pause("first_week", func(*Trial) time.Duration { return week }), // leave them alone
		durable.Decision("second_week", listen).To("end"),
		mail("half_time", halfTime),
		durable.Decision("third_week", listen).To("end"),
		mail("last_week", "One week is left."),
		durable.Decision("fourth_week", listen).To("end"),

		durable.Branch("end", func(t *Trial) string { return t.End }).
			Case(subscribed, mail("thank", "Thank you for staying.")).
			Case(closed, mail("goodbye", "Your account is closed.")).
			Default(
				mail("over", "Your trial is over. We keep your data for eight weeks."),
				durable.Pause("keep_data", func(*Trial) time.Duration { return 8 * week }),
				mail("deleted", "Your data is deleted."),
			),
	)
}
