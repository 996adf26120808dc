//go:build fail

package crash

import (
	"encoding/json"
	"strconv"
)

func (w *world) said(p *worker, m message) {
	w.t.Helper()
	switch m.Op {
	case "ready":
		p.ready = true
		w.push(p)
	case "busy":
		p.busy = true
	case "stopped":
		p.stopped = true
	case "ack", "settled":
		if then := p.sent[m.N]; then != nil {
			delete(p.sent, m.N)
			if m.Err != "" && p.ending {
				return
			}
			then(m)
		}
	case "asked":
		w.answer(p, m)
	default:
		w.t.Errorf("worker %d: %s %s", p.pid, m.Op, m.Err)
	}
}

// command sends a command; then is called with its ack, if one comes.
func (w *world) command(p *worker, m message, then func(message)) {
	w.next++
	m.N = w.next
	b, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	if then == nil {
		then = func(message) {}
	}
	p.sent[m.N] = then
	_, _ = p.in.Write(append(b, '\n')) // one that died will be said to have ended
}

// push tells a worker everything that is not acknowledged.
func (w *world) push(p *worker) {
	for i, t := range w.tasks {
		switch {
		case t.acked:
			w.follow(p, t)
		case t.tag != "" && t.asked:
			t.startNever = true // not acknowledged: there once, or not at all
		case !t.startNever:
			w.start(p, i, t)
		}
	}
}

func (w *world) start(p *worker, i int, t *task) {
	raw, err := json.Marshal(t.input)
	if err != nil {
		w.t.Fatal(err)
	}
	t.asked = true
	w.command(p, message{Op: "start", Workflow: t.workflow, Key: t.key, Tag: t.tag, At: t.at, Value: raw}, func(m message) {
		switch {
		case m.Err != "":
			w.t.Errorf("start %d of %s: %s", i, t.workflow, m.Err)
		case t.acked && t.run != m.Run:
			w.t.Errorf("start %d of %s gave %s, and again %s", i, t.workflow, t.run, m.Run)
		default:
			t.acked, t.run = true, m.Run
			w.follow(p, t)
		}
	})
}

// follow sends what follows upon a start.
func (w *world) follow(p *worker, t *task) {
	if t.sent == nil {
		t.sent = make([]bool, len(t.sends))
	}
	for i, n := range t.sends {
		if t.sent[i] {
			continue
		}
		if i > 0 && !t.sent[i-1] {
			break // in order
		}
		w.command(p, message{Op: "send", Run: t.run, Name: "go", Event: "e" + strconv.Itoa(n), Value: json.RawMessage(strconv.Itoa(n))}, func(m message) {
			if m.Err != "" {
				w.t.Errorf("send %d to %s: %s", n, t.run, m.Err)
				return
			}
			t.sent[i] = true
			w.follow(p, t)
		})
		break
	}
	if t.cancel && !t.cancelled {
		w.command(p, message{Op: "cancel", Run: t.run}, func(m message) {
			if m.Err != "" {
				w.t.Errorf("cancel %s: %s", t.run, m.Err)
				return
			}
			t.cancelled = true
		})
	}
}

// answer answers a question by the rules.
func (w *world) answer(p *worker, m message) {
	a := w.answers[m.Name]
	if a == nil {
		a = &answered{run: m.Run, by: "parent-" + strconv.Itoa(len(w.answers))}
		w.answers[m.Name] = a
	}
	if a.acked {
		if p.born > a.when { // else it may have looked before
			w.t.Errorf("question %s of %s was answered, and is open again", m.Name, m.Run)
		}
		return
	}
	w.command(p, message{Op: "answer", Run: m.Run, Name: m.Name, By: a.by, Value: m.Value}, func(r message) {
		switch {
		case r.Err == "":
			a.acked, a.when = true, w.seen
		case r.Code != "gone": // it landed before, and its ack was lost
			w.t.Errorf("answer %s of %s: %s", m.Name, m.Run, r.Err)
		}
	})
}
