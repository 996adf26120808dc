package docs_test

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The program of docs/getting-started.md is killed while it packs, and goes on
// there: it does not charge twice.
func TestHelloIsKilledAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "hello")
	build := exec.Command("go", "build", "-o", program, "./examples/hello")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	start := func() (*exec.Cmd, *bufio.Scanner) {
		cmd := exec.Command(program)
		cmd.Dir = dir
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd, bufio.NewScanner(pipe)
	}

	first, lines := start()
	for lines.Scan() && lines.Text() != "packing a-1" {
	}
	if err := first.Process.Kill(); err != nil { // kill -9
		t.Fatal(err)
	}
	_ = first.Wait()

	second, lines := start()
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	want := []string{"packing a-1", "shipping P-a-1", "{ID:a-1 Receipt:R-a-1 Parcel:P-a-1} <nil>"}
	if !slices.Equal(said, want) {
		t.Errorf("after the kill it said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}
