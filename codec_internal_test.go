package durable

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// Only brackets outside of strings nest, however the strings are escaped.
func TestDepthLooksPastStrings(t *testing.T) {
	open := strings.Repeat("[", maxDepth)
	shut := strings.Repeat("]", maxDepth)
	for _, text := range []string{`"["`, `"\""`, `"\\"`, `"\\\"["`, `"\\\\"`, `""`, `"` + open + `"`, `"\u005b["`, `{"[\"":"{\\"}`} {
		for _, fits := range []bool{true, false} {
			nested := "[" + text + ",[" + text + "]]"
			if !fits {
				nested = "[" + text + "," + open + text + shut + "]"
			}
			if !json.Valid([]byte(nested)) {
				t.Fatalf("%s is no JSON", nested)
			}
			err := checkPayload([]byte(nested), 1<<20)
			if fits != (err == nil) || err != nil && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: %v", nested, err)
			}
		}
	}
}
