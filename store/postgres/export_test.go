package postgres

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

// MakePart makes the partitions of a time, as a store does ahead of it.
func MakePart(ctx context.Context, st store.Store, at time.Time) error {
	return st.(*Store).makePart(ctx, at)
}

// Channel is where a schema's hints go.
func Channel(name string) string { return schema(name).channel() }
