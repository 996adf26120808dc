// Command gotest runs "go test" with the arguments it is given, prints one
// line per package and the whole output of what failed, and lists the tests
// that skipped themselves: a skip is not a pass, and must be seen.
//
// Skips are appended to the file named by SUITE_SKIPS, one a line (kind, test,
// reason, separated by tabs). The kind is "impossible" if the reason says
// "impossible here:" and "skipped" otherwise. It exits as go test does.
//
// It knows the events of go test -json and nothing of the project. The scripts
// behind make call it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	code, skips, err := run(os.Args[1:], os.Stdout)
	if err == nil {
		err = record(os.Getenv("SUITE_SKIPS"), skips)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(args []string, out io.Writer) (code int, skips []skip, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	skips, readErr := read(stdout, out)
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), skips, nil
	}
	return 0, skips, errors.Join(readErr, err)
}

// event is a line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// skip is a test that did not run, and why.
type skip struct {
	test, why string
}

func (s skip) String() string {
	kind := "skipped"
	if strings.Contains(s.why, "impossible here:") {
		kind = "impossible"
	}
	return kind + "\t" + s.test + "\t" + s.why
}

// read passes on what a reader needs: the line of each package, and all that
// a failing test or package printed. Output of passing tests is dropped.
func read(in io.Reader, out io.Writer) ([]skip, error) {
	var skips []skip
	said := map[string][]string{} // by package and test, until its verdict
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(out, lines.Text()) // go itself speaking
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "build-output":
			fmt.Fprint(out, e.Output)
		case "output":
			if e.Test == "" && verdict(e.Output) {
				fmt.Fprint(out, e.Output)
			} else {
				said[key] = append(said[key], e.Output)
			}
		case "fail":
			fmt.Fprint(out, strings.Join(said[key], ""))
			delete(said, key)
		case "skip":
			if e.Test != "" {
				skips = append(skips, skip{e.Package + " " + e.Test, reason(said[key])})
			}
			delete(said, key)
		case "pass":
			delete(said, key)
		}
	}
	if err := lines.Err(); err != nil {
		return skips, err
	}
	// A run that was killed leaves tests without a verdict: show what they said.
	for _, key := range slices.Sorted(maps.Keys(said)) {
		fmt.Fprint(out, strings.Join(said[key], ""))
	}
	return skips, nil
}

// verdict says whether a line is the one that closes a package.
func verdict(line string) bool {
	return strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?  ")
}

// reason is what a skipped test said, without the frame go test puts around it.
func reason(lines []string) string {
	var said []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return "it gave no reason"
	}
	return strings.ReplaceAll(strings.Join(said, " "), "\t", " ")
}

func record(path string, skips []skip) error {
	if path == "" || len(skips) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, s := range skips {
		if _, err := fmt.Fprintln(f, s); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}
