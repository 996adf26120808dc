package durable

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Limits of notices. Each is a write and a short claim of the run.
const (
	maxNotices = 32
	maxNotice  = 100 * 365 * 24 * time.Hour
)

// Assignee says who is to act on a wait: a person, a group, a role, as you name
// them. PendingInputs shows it and finds it by InputFilter.Assignee; anybody may answer.
func Assignee(to string) WaitOption {
	return func(o *waitOptions) {
		o.use("Assignee", forWaits)
		o.to, o.assigned = to, true
	}
}

// Reminder records, after each d from the opening on, that the wait is still
// open: PendingInput.Reminded counts them, the engine logs it and calls Config.OnNotice. It
// survives restarts, happens once, and does not end the wait. What would come after the wait has ended
// does not come. A wait has at most 32 reminders and escalations.
func Reminder(d ...time.Duration) WaitOption {
	return func(o *waitOptions) {
		o.use("Reminder", forWaits)
		for _, after := range d {
			o.notices = append(o.notices, notice{after: after})
		}
	}
}

// Escalate passes a wait that is still open d after its opening to somebody
// else: its assignee changes. It is recorded and told as a Reminder is.
func Escalate(d time.Duration, to string) WaitOption {
	return func(o *waitOptions) {
		o.use("Escalate", forWaits)
		o.notices = append(o.notices, notice{after: d, to: to, escalates: true})
	}
}

type notice struct {
	after     time.Duration
	to        string
	escalates bool
}

// watch puts assignee and notices into a wait.
func (o *waitOptions) watch(w *journal.Wait) error {
	if m := tree.TextMistake(o.to); o.assigned && m != "" {
		return fmt.Errorf("%w: Assignee: %s", ErrInvalid, m)
	}
	w.To = o.to
	if len(o.notices) > maxNotices {
		return fmt.Errorf("%w: %d reminders and escalations; a wait has at most %d", ErrInvalid, len(o.notices), maxNotices)
	}
	w.Notices = nil
	for _, n := range o.notices {
		what := "Reminder"
		if n.escalates {
			what = "Escalate"
			if m := tree.TextMistake(n.to); m != "" {
				return fmt.Errorf("%w: Escalate: the assignee: %s", ErrInvalid, m)
			}
		}
		if n.after <= 0 || n.after > maxNotice {
			return fmt.Errorf("%w: %s after %s; give a time from the opening of the wait on, up to 100 years", ErrInvalid, what, n.after)
		}
		w.Notices = append(w.Notices, journal.Notice{After: max(n.after.Microseconds(), 1), To: n.to})
	}
	return nil
}

// Notice is a reminder of an open wait, or that it passed to somebody else.
type Notice struct {
	Execution ID        `json:"execution"`
	Path      string    `json:"path"`
	Wait      string    `json:"wait"` // kind:name#count within its step
	Kind      string    `json:"kind"` // reminded, escalated
	To        string    `json:"to,omitempty"`
	At        time.Time `json:"at"`
}

// Noticed is called by the runner, on a goroutine of its own.
func (e *code) Noticed(id store.ID, path, call string, n journal.Note) {
	e.log.Info("a wait is still open", "execution", id.String(), "path", path, "wait", call, "notice", n.Kind, "assignee", n.To)
	if e.cfg.OnNotice == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("Config.OnNotice panicked", "execution", id.String(), "wait", call, "panic", p)
		}
	}()
	e.cfg.OnNotice(Notice{Execution: id, Path: path, Wait: call, Kind: n.Kind, To: n.To, At: micros(n.At)})
}

// WaitNote is what happened to a wait while it was open.
type WaitNote struct {
	Kind  string    `json:"kind"` // reminded, escalated, extended; refused: an early answer that did not fit
	At    time.Time `json:"at"`
	To    string    `json:"to,omitempty"`
	By    string    `json:"by,omitempty"`
	Until time.Time `json:"until,omitzero"` // extended: the deadline from then on
	Text  string    `json:"text,omitempty"` // refused: why
}

func waitNotes(list []journal.Note) []WaitNote {
	var out []WaitNote
	for _, n := range list {
		out = append(out, WaitNote{Kind: n.Kind, At: micros(n.At), To: n.To, By: n.By, Until: micros(n.Until), Text: n.Text})
	}
	return out
}

// reminded counts the reminders among notes, and tells when the last was.
func reminded(list []journal.Note) (count int, last time.Time) {
	for _, n := range list {
		if n.Kind == journal.NoteReminded {
			count, last = count+1, micros(n.At)
		}
	}
	return count, last
}
