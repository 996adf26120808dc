package printable_test

import (
	"testing"

	"github.com/durable-go/durable/internal/printable"
)

func TestJSON(t *testing.T) {
	if got := string(printable.JSON([]byte("{\"a\": \"ü\u009b\u202e\x7f\"}\n"))); got != "{\"a\": \"ü\\u009b\\u202e\\u007f\"}\n" {
		t.Errorf("%q", got)
	}
}
