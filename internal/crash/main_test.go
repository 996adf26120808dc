//go:build fail

package crash

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestMain is a worker process if the environment says so. Tests mostly wait
// for leases to end, so more of them run at a time than there are processors.
func TestMain(m *testing.M) {
	if text := os.Getenv(settingsVariable); text != "" {
		os.Exit(work(text))
	}
	flag.Parse()
	const atOnce = 8
	if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stopServer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// skip skips a test and says so where the suite's skips are gathered.
func skip(t *testing.T, what, why string) {
	t.Helper()
	why = strings.Join(strings.Fields(why), " ")
	if path := os.Getenv("SUITE_SKIPS"); path != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		kind := "skipped"
		if strings.HasPrefix(why, "impossible here:") {
			kind = "impossible"
		}
		if _, err := fmt.Fprintf(f, "%s\t%s\t%s\n", kind, what, why); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Skipf("SKIPPED: %s: %s", what, why)
}
