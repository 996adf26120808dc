//go:build !amd64 && !arm64

package run

import (
	"bytes"
	"runtime"
	"strconv"
)

// self tells the goroutine that calls it apart from all others: it is its number. The runtime prints that first
// thing in a stack trace and offers no other way.
func self() uintptr {
	var buf [40]byte
	b := buf[:runtime.Stack(buf[:], false)]
	b = bytes.TrimPrefix(b, []byte("goroutine "))
	if i := bytes.IndexByte(b, ' '); i > 0 {
		b = b[:i]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		panic("run: the runtime no longer prints goroutine numbers: " + err.Error())
	}
	return uintptr(n)
}
