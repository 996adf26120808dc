package durable

import (
	"context"
	"fmt"
)

// ThisRun returns the run of the step whose context it is given, as Engine.Execution does: what is recorded of it, by this
// process and others before it. What beside this step is on its way to the store may be missing. It is
// for bodies that need to know what else the run has done, such as how much it has spent; what is decided by it
// belongs into a Do, since it differs from time to time. It reads all records of the run. While the database is away it waits.
func ThisRun(ctx context.Context, opts ...QueryOption) (*Execution, error) {
	b := bodyOf(ctx)
	if b == nil {
		return nil, fmt.Errorf("%w: ThisRun: the context is not that of a step; pass the ctx that the step was given", ErrNotInStep)
	}
	var x *Execution
	err := persist(ctx, func() (err error) {
		x, err = b.engine.Execution(ctx, b.h.Execution, opts...)
		return err
	})
	return x, err
}
