package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable"
)

// Dashboard is what the shop keeper reads in the morning. Missing names what could not be
// found out.
type Dashboard struct {
	Day     string   `json:"day"`
	Sales   string   `json:"sales,omitempty"`
	Stock   string   `json:"stock,omitempty"`
	Tickets string   `json:"tickets,omitempty"`
	Weather string   `json:"weather,omitempty"`
	Missing []string `json:"missing,omitempty"`
	Text    string   `json:"text,omitempty"`
}

// dashboards is the workflow: four sources are asked side by side, each as often as it
// takes. A dashboard with a hole is better than none, so all lanes are let end (Settle),
// and Merge decides what their ends come to.
func dashboards(s sources) *durable.Workflow[Dashboard] {
	again := durable.Retry{MaxAttempts: 3, Base: 50 * time.Millisecond}
	return durable.Define("dashboard",
		durable.Parallel("sources",
			durable.Step("sales", func(ctx context.Context, d *Dashboard) (err error) {
				d.Sales, err = s.sales(ctx, d.Day)
				return err
			}).Retry(again),
			durable.Step("stock", func(ctx context.Context, d *Dashboard) (err error) {
				d.Stock, err = s.stock(ctx, d.Day)
				return err
			}).Retry(again),
			durable.Step("tickets", func(ctx context.Context, d *Dashboard) (err error) {
				d.Tickets, err = s.tickets(ctx, d.Day)
				return err
			}).Retry(again),
			durable.Step("weather", func(ctx context.Context, d *Dashboard) (err error) {
				d.Weather, err = s.weather(ctx, d.Day)
				return err
			}).Retry(again),
		).Merge(gather).Settle(),
		durable.Step("render", render),
	)
}

// gather takes from each lane what it found. A lane that failed has found nothing.
func gather(d *Dashboard, lanes map[string]durable.Outcome[Dashboard]) error {
	d.Sales = lanes["sales"].Value.Sales
	d.Stock = lanes["stock"].Value.Stock
	d.Tickets = lanes["tickets"].Value.Tickets
	d.Weather = lanes["weather"].Value.Weather
	for name, lane := range lanes {
		if lane.Err != nil {
			d.Missing = append(d.Missing, name)
		}
	}
	slices.Sort(d.Missing) // maps have no order
	if len(d.Missing) == len(lanes) {
		return errors.New("no source has answered")
	}
	return nil
}

func render(_ context.Context, d *Dashboard) error {
	d.Text = fmt.Sprintf("sales %s, stock %s, tickets %s, weather %s", or(d.Sales), or(d.Stock), or(d.Tickets), or(d.Weather))
	return nil
}

func or(found string) string {
	if found == "" {
		return "unknown"
	}
	return found
}
