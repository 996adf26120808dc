package postgres_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Closing a store ends everything that it started.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
