// Package pgproxy stands between a program and a PostgreSQL server and breaks
// what passes: for tests.
//
// It knows how messages of the protocol begin and end, which of them ask for a
// commit and which say that one happened. It does not know what the tables
// are. Connections must not be encrypted (sslmode=disable).
package pgproxy

import (
	"errors"
	"net"
	"net/url"
	"sync"
	"time"
)

// Message is one message of a connection.
type Message struct {
	Conn   int  // the number of the connection, from 1
	Server bool // it comes from the server
	Type   byte // as in the protocol; 0 for what opens a connection
	Body   []byte
	// Commit says that it asks for a commit (a Bind or Query of it), or is the
	// server's word that one happened.
	Commit bool
	// First says that it begins a request: the one after is answered by the
	// server before the next may be first.
	First bool
}

// Action is what becomes of a message.
type Action int

// The actions.
const (
	Pass      Action = iota
	Drop             // it alone is lost: for what is a message of its own, such as a notification
	Reset            // the connection is cut, on both sides, and the message is lost
	Swallow          // neither it nor anything after it arrives; the connection stays open
	HalfClose        // its receiver sees the end of the stream, and may still send
	Refuse           // First only: the server gets nothing of the request, the sender an error with Code
)

// Fault is an action and how slowly it is done.
type Fault struct {
	Do    Action
	Code  string        // Refuse: the SQLSTATE
	Wait  time.Duration // before it, or before each slice
	Slice int           // bytes at a time; 0 is all
}

// Proxy passes connections on to a server.
type Proxy struct {
	listener net.Listener
	target   string
	done     chan struct{}
	tasks    sync.WaitGroup

	mu       sync.Mutex
	rule     func(Message) Fault
	conns    map[*conn]bool
	accepted int
	requests int
}

// New makes a proxy for the server at an address such as 127.0.0.1:5432. Close
// it in the end.
func New(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, done: make(chan struct{}), conns: map[*conn]bool{}}
	p.tasks.Go(p.accept)
	return p, nil
}

// URL is a URL of the server, by way of the proxy.
func (p *Proxy) URL(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Host = p.listener.Addr().String()
	return u.String(), nil
}

// Set makes a rule: what becomes of each message from now on. It is called by
// many goroutines at once; nil passes all.
func (p *Proxy) Set(rule func(Message) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// Accepted is how many connections were ever opened, also in vain.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Requests is how many requests were ever sent: round trips.
func (p *Proxy) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// CutAll cuts what is open. New connections may be made at once.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.cut()
	}
}

// Close cuts everything and waits for its goroutines.
func (p *Proxy) Close() error {
	close(p.done)
	err := p.listener.Close()
	p.CutAll()
	p.tasks.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		p.mu.Lock()
		p.accepted++
		n := p.accepted
		p.mu.Unlock()
		p.tasks.Go(func() { p.serve(n, client.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(n int, client *net.TCPConn) {
	up, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	c := &conn{n: n, proxy: p, client: client, server: up.(*net.TCPConn), commits: map[string]bool{}, status: 'I', ended: make(chan struct{})}
	p.mu.Lock()
	select {
	case <-p.done:
		c.cut()
	default:
		p.conns[c] = true
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(c.requests)
	both.Go(c.answers)
	both.Wait()
	c.cut()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (p *Proxy) judge(m Message) Fault {
	p.mu.Lock()
	rule := p.rule
	if m.First && m.Type != 0 {
		p.requests++
	}
	p.mu.Unlock()
	if rule == nil {
		return Fault{}
	}
	return rule(m)
}
