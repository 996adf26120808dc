package wire

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxAnswer is the size of the largest answer that is read, in bytes.
const maxAnswer = 64 << 20

var (
	errIdle     = errors.New("silence")
	errTooLarge = errors.New("an answer of more than 64 MiB")
)

// watch calls a function when nothing has moved for a while. It counts only between on and off: the
// time that the receiver takes is no silence of the sender.
type watch struct {
	idle  time.Duration
	mu    sync.Mutex
	timer *time.Timer
	armed bool
}

func newWatch(idle time.Duration, silent func()) *watch {
	w := &watch{idle: idle}
	w.timer = time.AfterFunc(idle, func() {
		w.mu.Lock()
		armed := w.armed
		w.mu.Unlock()
		if armed {
			silent()
		}
	})
	w.timer.Stop()
	return w
}

func (w *watch) on() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = true
	w.timer.Reset(w.idle)
}

func (w *watch) off() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.timer.Stop()
}

// moved begins anew, if the watch is on.
func (w *watch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed {
		w.timer.Reset(w.idle)
	}
}

// upload is the body of a request as it is sent. Nothing reads it before there is a connection.
type upload struct {
	io.Reader
	watch *watch
	begun *atomic.Bool
}

func (u upload) Read(p []byte) (int, error) {
	u.begun.Store(true)
	u.watch.moved()
	return u.Reader.Read(p)
}

func (u upload) Close() error { return nil }

// download is the body of an answer as it comes, with a limit.
type download struct {
	io.Reader
	watch *watch
	left  int64
}

func (d *download) Read(p []byte) (int, error) {
	if d.left <= 0 {
		return 0, errTooLarge
	}
	d.watch.on()
	n, err := d.Reader.Read(p[:min(int64(len(p)), d.left)])
	d.watch.off()
	d.left -= int64(n)
	return n, err
}
