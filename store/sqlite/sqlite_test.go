package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/durable-go/durable/store/sqlite"
	"github.com/durable-go/durable/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		return storetest.Harness{Opener: sqlite.Open(filepath.Join(t.TempDir(), "durable.db"))}
	})
}
