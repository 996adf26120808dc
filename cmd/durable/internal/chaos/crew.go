package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// crew is the worker processes that are alive.
type crew struct {
	command []string // the program and what goes before the flags of a worker
	job     Worker
	number  int // of the last one
	alive   []*member
	killed  map[int]bool
}

// member is one worker process.
type member struct {
	number int
	cmd    *exec.Cmd
	stdin  io.Closer
	ready  chan struct{} // closed when it works
	gone   chan error
}

func (m *member) isReady() bool {
	select {
	case <-m.ready:
		return true
	default:
		return false
	}
}

// hire starts a worker process.
func (c *crew) hire(stderr io.Writer) error {
	c.number++
	args := append(c.command[1:len(c.command):len(c.command)],
		"--worker", strconv.Itoa(c.number), "--db", c.job.DB, "--ledger", c.job.Ledger, "--results", c.job.Results,
		"--model", c.job.Model, "--lease", c.job.Lease.String())
	m := &member{number: c.number, cmd: exec.Command(c.command[0], args...), ready: make(chan struct{}), gone: make(chan error, 1)}
	m.cmd.Stderr = stderr
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "ready" {
				close(m.ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		m.gone <- m.cmd.Wait()
	}()
	c.alive = append(c.alive, m)
	return nil
}

// kill kills the i-th worker as kill -9 does, and waits until it is gone.
func (c *crew) kill(i int) (*member, error) {
	m := c.alive[i]
	c.alive = append(c.alive[:i:i], c.alive[i+1:]...)
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, err
	}
	err := <-m.gone
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() {
		return nil, fmt.Errorf("worker %d ended by itself: %w", m.number, errOr(err))
	}
	c.killed[m.number] = true
	return m, nil
}

// deserter is a worker that ended although nobody killed it, or nil.
func (c *crew) deserter() error {
	for _, m := range c.alive {
		select {
		case err := <-m.gone:
			m.gone <- err
			return fmt.Errorf("worker %d ended by itself: %w", m.number, errOr(err))
		default:
		}
	}
	return nil
}

func errOr(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

// dismiss tells all workers to stop in order, and kills those that do not.
func (c *crew) dismiss(ctx context.Context, patience time.Duration) error {
	var errs []error
	for _, m := range c.alive {
		_ = m.stdin.Close()
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, m := range c.alive {
		select {
		case err := <-m.gone:
			if err != nil {
				errs = append(errs, fmt.Errorf("worker %d: %w", m.number, err))
			}
		case <-timer.C:
			timer.Reset(0)
			errs = append(errs, m.cmd.Process.Kill())
			<-m.gone
			errs = append(errs, fmt.Errorf("worker %d did not stop within %s", m.number, patience))
		case <-ctx.Done():
			errs = append(errs, m.cmd.Process.Kill())
			<-m.gone
		}
	}
	c.alive = nil
	return errors.Join(errs...)
}

// locked lets several processes write to one writer.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
