// Command wrongstate does not compile: its compensation is of another state type than
// its step. A test says so.
package main

import (
	"context"

	"github.com/durable-go/durable"
)

type (
	order  struct{ ID string }
	refund struct{ ID string }
)

func main() {
	durable.Step("pay", func(context.Context, *order) error { return nil }).
		Compensate(func(context.Context, *refund) error { return nil })
}
