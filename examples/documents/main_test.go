package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durable-go/durable/examples/documents/samples"
)

func TestRun(t *testing.T) {
	t.Setenv("AI_MODEL_SMART", "") // it would come first
	const smart = "offline:documents-1"
	db := filepath.Join(t.TempDir(), "documents.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, smart, db, nil); err != nil {
		t.Fatal(err)
	}
	all := samples.All()
	lines := strings.Split(strings.TrimSpace(first.String()), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d lines for %d documents:\n%s", len(lines), len(all), &first)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, all[i].Name) {
			t.Errorf("line %d is %q, want the one of %s", i, line, all[i].Name)
		}
	}
	if err := run(t.Context(), &second, smart, db, nil); err != nil { // finds what is done
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}
