package pgproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// conn is one connection of a program and its counterpart to the server.
type conn struct {
	n       int
	proxy   *Proxy
	client  *net.TCPConn
	server  *net.TCPConn
	once    sync.Once
	ended   chan struct{}
	commits map[string]bool // prepared statements that are a commit; requests only

	mu     sync.Mutex
	status byte // of the transaction, as the server said last
	write  sync.Mutex
}

// cut ends both sides with a reset.
func (c *conn) cut() {
	c.once.Do(func() {
		close(c.ended)
		for _, side := range []*net.TCPConn{c.client, c.server} {
			_ = side.SetLinger(0)
			_ = side.Close()
		}
	})
}

// read reads one message. What opens a connection has no type.
func read(from io.Reader, opening bool) (kind byte, raw, body []byte, err error) {
	head := make([]byte, 5)
	if opening {
		head = head[:4]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, nil, err
	}
	n := int(binary.BigEndian.Uint32(head[len(head)-4:]))
	if n < 4 || n > 1<<30 {
		return 0, nil, nil, fmt.Errorf("a message of %d bytes", n)
	}
	raw = append(head, make([]byte, n-4)...)
	if _, err := io.ReadFull(from, raw[len(head):]); err != nil {
		return 0, nil, nil, err
	}
	if !opening {
		kind = head[0]
	}
	return kind, raw, raw[len(head):], nil
}

var errOver = errors.New("the connection is over")

// requests passes what the program says.
func (c *conn) requests() {
	first := true
	for opening := true; ; opening = false {
		kind, raw, body, err := read(c.client, opening)
		if err != nil {
			c.cut()
			return
		}
		m := Message{Conn: c.n, Type: kind, Body: body, First: first, Commit: c.asksCommit(kind, body)}
		fault := c.proxy.judge(m)
		if fault.Do == Refuse {
			if err := c.refuse(kind, opening, fault.Code); err != nil {
				c.cut()
				return
			}
			first = true
			continue
		}
		if c.pass(fault, c.server, raw) != nil {
			return
		}
		first = opening || kind == 'S' || kind == 'Q' // a Sync ends a request, a Query is one
	}
}

// asksCommit looks for requests to commit, also by the name of a prepared one.
func (c *conn) asksCommit(kind byte, body []byte) bool {
	first, rest, _ := bytes.Cut(body, []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	switch kind {
	case 'P': // name, statement
		c.commits[string(first)] = isCommit(second)
	case 'B': // portal, name
		return c.commits[string(second)]
	case 'Q':
		return isCommit(first)
	}
	return false
}

func isCommit(statement []byte) bool {
	return strings.EqualFold(strings.Trim(string(statement), " ;\n\t"), "commit")
}

// answers passes what the server says.
func (c *conn) answers() {
	for {
		kind, raw, body, err := read(c.server, false)
		if err != nil {
			c.cut()
			return
		}
		if kind == 'Z' && len(body) == 1 {
			c.mu.Lock()
			c.status = body[0]
			c.mu.Unlock()
		}
		m := Message{Conn: c.n, Server: true, Type: kind, Body: body, Commit: kind == 'C' && string(bytes.TrimRight(body, "\x00")) == "COMMIT"}
		if c.pass(c.proxy.judge(m), c.client, raw) != nil {
			return
		}
	}
}

// pass does what the fault says. An error: nothing more goes this way.
func (c *conn) pass(f Fault, to *net.TCPConn, raw []byte) error {
	if f.Wait > 0 && f.Slice == 0 && !c.rest(f.Wait) {
		return errOver
	}
	switch f.Do {
	case Drop:
		return nil
	case Reset:
		c.cut()
		return errOver
	case Swallow:
		<-c.ended
		return errOver
	case HalfClose:
		_ = to.CloseWrite()
		<-c.ended
		return errOver
	}
	size := len(raw)
	if f.Slice > 0 {
		size = f.Slice
	}
	for len(raw) > 0 {
		if f.Slice > 0 && !c.rest(f.Wait) {
			return errOver
		}
		n := min(size, len(raw))
		if err := c.send(to, raw[:n]); err != nil {
			c.cut()
			return err
		}
		raw = raw[n:]
	}
	return nil
}

func (c *conn) send(to *net.TCPConn, raw []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	_, err := to.Write(raw)
	return err
}

// rest waits; false: the connection has ended meanwhile.
func (c *conn) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ended:
		return false
	}
}

// refuse answers a request with an error, as the server would. A transaction
// that was open has failed by it; the server learns that from the rollback.
func (c *conn) refuse(kind byte, opening bool, code string) error {
	severity := "ERROR"
	if opening || strings.HasPrefix(code, "57P0") {
		severity = "FATAL"
	}
	body := fmt.Sprintf("S%s\x00V%s\x00C%s\x00Minjected by the proxy\x00\x00", severity, severity, code)
	answer := append([]byte{'E'}, binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))...)
	answer = append(answer, body...)
	if severity == "FATAL" {
		_ = c.send(c.client, answer)
		_ = c.client.CloseWrite()
		return errOver
	}
	for kind != 'S' && kind != 'Q' {
		var err error
		if kind, _, _, err = read(c.client, false); err != nil {
			return err
		}
	}
	c.mu.Lock()
	status := c.status
	c.mu.Unlock()
	if status == 'T' {
		status = 'E'
	}
	return c.send(c.client, append(answer, 'Z', 0, 0, 0, 5, status))
}
