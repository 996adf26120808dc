package sim

import (
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// model computes what the state must be from the facts and the scripts alone,
// without the fold and the patches of package journal.
type model struct {
	w      *work
	log    []string
	blocks map[string]*block            // that are not over, by path
	calls  map[string]map[string]string // what calls returned, by path and key
	doubt  map[string]bool              // a person was asked
	open   map[string]int64             // epoch of a body that has begun and not ended
}

func newModel(w *work) *model {
	return &model{w: w, blocks: make(map[string]*block), calls: make(map[string]map[string]string), doubt: make(map[string]bool), open: make(map[string]int64)}
}

func (m *model) apply(f *journal.Fact) {
	switch f.Kind {
	case journal.Tried:
		m.open[f.Path] = f.Epoch
	case journal.Called:
		if f.Err != nil {
			m.record(f, "broken")
		} else {
			m.record(f, brief(f.Data))
		}
	case journal.Received:
		if f.Err != nil {
			m.record(f, "broken")
		} else {
			m.record(f, brief(f.Data))
		}
		m.doubt[f.Path] = f.Call == journal.InDoubtCall
	case journal.Revoked:
		m.record(f, "withdrawn")
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
	case journal.Answered:
		m.opens(f)
	case journal.Closed:
		m.closes(f)
	case journal.Turned:
		clear(m.blocks)
	case journal.Done:
		m.done(f)
		if f.Answer != nil {
			m.w.goes(f)
		}
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
	script := m.w.place(f.Path).script
	if script == nil { // a wait node
		return "timeout"
	}
	for _, o := range script.ops {
		if o.key(counts) == f.Call && o.has {
			return `"default"`
		}
	}
	return "timeout"
}

func (m *model) done(f *journal.Fact) {
	if _, _, undo := journal.CutUndo(f.Path); undo { // what it changes is not the run's
		m.open[f.Path] = 0
		return
	}
	log := m.at(f.Path)
	n := tree.Find(m.w.flow.defs[plus].Tree, f.Path)
	switch b := m.blocks[f.Path]; {
	case b != nil:
		m.join(f, b)
		return
	case n != nil && n.Kind.Waits():
		for _, v := range m.calls[f.Path] {
			*log = append(*log, f.Path+"="+v)
		}
	case m.open[f.Path] != 0:
		script := m.w.place(f.Path).script
		*log = append(*log, script.entry(f.Path, func(key string) string { return m.calls[f.Path][key] }))
	case m.doubt[f.Path]:
		*log = append(*log, f.Path+"=human")
	default:
		*log = append(*log, f.Path+"=reconciled")
	}
	delete(m.calls, f.Path)
	m.open[f.Path] = 0
}
