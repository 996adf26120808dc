package sim

import (
	"github.com/durable-go/durable/internal/journal"
)

// model computes what the state must be from the facts and the scripts alone,
// without the fold and the patches of package journal.
type model struct {
	w     *work
	log   []string
	calls map[string]map[string]string // what calls returned, by path and key
	doubt map[string]bool              // a person was asked
	open  map[string]int64             // epoch of a body that has begun and not ended
}

func newModel(w *work) *model {
	return &model{w: w, calls: make(map[string]map[string]string), doubt: make(map[string]bool), open: make(map[string]int64)}
}

func (m *model) apply(f *journal.Fact) {
	switch f.Kind {
	case journal.Tried:
		m.open[f.Path] = f.Epoch
	case journal.Called:
		if f.Err != nil {
			m.record(f, "broken")
		} else {
			m.record(f, string(f.Data))
		}
	case journal.Received:
		m.record(f, string(f.Data))
		m.doubt[f.Path] = f.Call == journal.InDoubtCall
	case journal.Fired:
		m.record(f, m.timeout(f))
	case journal.Delayed:
		m.open[f.Path] = 0
		if f.Why == journal.ByError { // errors of Do belong to the attempt
			for key, v := range m.calls[f.Path] {
				if v == "broken" {
					delete(m.calls[f.Path], key)
				}
			}
		}
	case journal.Waited, journal.Handed:
		if f.Kind == journal.Waited || f.Epoch == m.open[f.Path] {
			m.open[f.Path] = 0
		}
	case journal.Done:
		m.done(f)
	}
}

func (m *model) record(f *journal.Fact, v string) {
	if m.calls[f.Path] == nil {
		m.calls[f.Path] = make(map[string]string)
	}
	m.calls[f.Path][f.Call] = v
}

// timeout is what a timed out wait returns: the script knows.
func (m *model) timeout(f *journal.Fact) string {
	counts := make(map[string]int)
	for _, o := range m.w.place(f.Path).script.ops {
		if o.key(counts) == f.Call && o.has {
			return `"default"`
		}
	}
	return "timeout"
}

func (m *model) done(f *journal.Fact) {
	switch {
	case m.open[f.Path] != 0:
		script := m.w.place(f.Path).script
		m.log = append(m.log, script.entry(f.Path, func(key string) string { return m.calls[f.Path][key] }))
	case m.doubt[f.Path]:
		m.log = append(m.log, f.Path+"=human")
	default:
		m.log = append(m.log, f.Path+"=reconciled")
	}
	delete(m.calls, f.Path)
	m.open[f.Path] = 0
}
