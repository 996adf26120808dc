package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is a worker process of this binary.
type child struct {
	cmd   *exec.Cmd
	in    *json.Encoder
	lines chan line // closed when it has ended
	first chan int64
}

// worker starts a worker process on a schema and waits until it is ready.
func (b *bench) worker(ctx context.Context, schema string, concurrency int) (*child, error) {
	spec, err := json.Marshal(workerSpec{URL: b.pg.url, Schema: schema, Concurrency: concurrency, Lease: b.lease()})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self), lines: make(chan line, 16), first: make(chan int64, 1)}
	c.cmd.Env = append(os.Environ(), workerVariable+"="+string(spec))
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.in = json.NewEncoder(in)
	go c.read(bufio.NewScanner(out))
	if _, err := c.answer(ctx); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// lease of worker processes: the default, unless it is a smoke run.
func (b *bench) lease() time.Duration { return pick(b.quick, 2*time.Second, 10*time.Second) }

func (c *child) read(out *bufio.Scanner) {
	defer close(c.lines)
	out.Buffer(nil, 16<<20)
	for out.Scan() {
		var l line
		if err := json.Unmarshal(out.Bytes(), &l); err != nil {
			l.Error = "it printed what is no answer: " + out.Text()
		}
		if l.First != 0 {
			c.first <- l.First
			continue
		}
		c.lines <- l
	}
}

func (c *child) answer(ctx context.Context) (line, error) {
	select {
	case l, ok := <-c.lines:
		if !ok {
			return l, errors.New("a worker process ended")
		}
		if l.Error != "" {
			return l, fmt.Errorf("a worker process: %s", l.Error)
		}
		return l, nil
	case <-ctx.Done():
		return line{}, context.Cause(ctx)
	}
}

// ask sends a command and waits for its answer.
func (c *child) ask(ctx context.Context, what command) (line, error) {
	if err := c.in.Encode(what); err != nil {
		return line{}, err
	}
	return c.answer(ctx)
}

// firstStep waits for the first step of the endless run in this process, and
// says when that was.
func (c *child) firstStep(ctx context.Context, longest time.Duration) (time.Time, error) {
	select {
	case at := <-c.first:
		return time.UnixMicro(at), nil
	case <-time.After(longest):
		return time.Time{}, fmt.Errorf("no step of the run in %s", longest)
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

// kill ends the process at once, if it has not ended, and waits for it.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	for range c.lines { // it must be read before Wait closes it
	}
	_ = c.cmd.Wait()
}

// stop ends the process in order.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	for range c.lines {
	}
	return c.cmd.Wait()
}
