//go:build fail

package crash

import (
	"flag"
	"fmt"
	"os"
	"strconv"
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
	os.Exit(m.Run())
}
