//go:build fail

package crash

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// report is what a world came to, in numbers.
type report struct {
	Runs, Bodies            int
	Resumed, Failed, Handed int // bodies that ran because of a wait, a failure, an orderly stop
	Crashed                 int // bodies that ran again because of a counted death
	Deaths                  int
	Acks                    int
}

func (r *report) add(o report) {
	r.Runs += o.Runs
	r.Bodies += o.Bodies
	r.Resumed += o.Resumed
	r.Failed += o.Failed
	r.Handed += o.Handed
	r.Crashed += o.Crashed
	r.Deaths += o.Deaths
	r.Acks += o.Acks
}

func (r report) String() string {
	return fmt.Sprintf("%d deaths, %d runs, %d acknowledgements: %d bodies ran, of them again %d after waits, %d after failures, %d after orderly stops, %d after deaths",
		r.Deaths, r.Runs, r.Acks, r.Bodies, r.Resumed, r.Failed, r.Handed, r.Crashed)
}

// record is an execution as the oracle sees it.
type record struct {
	store.Record // with all rows
	rows         []journal.Row
	short        store.Record // by the snapshot
	hist         *journal.History
	waits        []store.Wait
	tree         *tree.Workflow
}

// judge collects what is wrong.
type judge struct {
	w       *world
	final   bool // everything must have ended
	wrong   []string
	records map[durable.ID]*record
	lines   map[durable.ID][]line
	report  report
}

func (j *judge) fault(format string, a ...any) { j.wrong = append(j.wrong, fmt.Sprintf(format, a...)) }

// check holds the store, the ledger and the acknowledgements against each
// other. No worker may live. final says that all runs must have ended.
func (w *world) check(final bool) (report, []string) {
	j := &judge{w: w, final: final, records: map[durable.ID]*record{}, lines: map[durable.ID][]line{}}
	file := j.file
	if w.schema != "" {
		file = j.tables
	}
	if err := errors.Join(file(), j.read()); err != nil {
		return j.report, append(j.wrong, err.Error())
	}
	loads := workloads(&ledger{}, w.archive())
	for id, r := range j.records {
		l, ok := loads[r.Workflow]
		if !ok {
			j.fault("run %s: there is no workflow %q", id, r.Workflow)
			continue
		}
		j.doctor(r, l.tree)
		j.bodies(r)
	}
	for id := range j.lines {
		if j.records[id] == nil {
			j.fault("run %s has a ledger and is not in the store", id)
		}
	}
	j.tasks()
	j.messages()
	j.bank()
	j.parties()
	if err := j.booked(); err != nil {
		j.fault("%v", err)
	}
	if final {
		j.results()
	}
	j.report.Runs, j.report.Deaths = len(j.records), len(w.deaths)
	return j.report, j.wrong
}

// file checks what only SQL can see.
func (j *judge) file() (err error) {
	db, err := sql.Open("sqlite", "file:"+j.w.db()+"?_pragma=query_only(1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var text string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&text); err != nil || text != "ok" {
		return fmt.Errorf("integrity check: %s %w", text, err)
	}
	counts := map[string]string{
		"runs with an owner that has no lease":      "SELECT count(*) FROM execution WHERE owner IS NOT NULL AND owner NOT IN (SELECT who FROM lease)",
		"runs that wait and have no open wait":      "SELECT count(*) FROM execution WHERE status = 'waiting' AND n NOT IN (SELECT execution FROM wait)",
		"runs whose count of waits is wrong":        "SELECT count(*) FROM execution e WHERE waits <> (SELECT count(*) FROM wait WHERE execution = e.n)",
		"rows of a journal that is not dense":       "SELECT count(*) FROM (SELECT 1 FROM journal GROUP BY execution HAVING min(seq) <> 1 OR max(seq) <> count(*))",
		"rows of a journal without an execution":    "SELECT count(*) FROM journal WHERE execution NOT IN (SELECT n FROM execution)",
		"rows written after an older epoch's":       "SELECT count(*) FROM journal a JOIN journal b ON a.execution = b.execution AND a.seq + 1 = b.seq WHERE a.epoch > b.epoch",
		"rows with an epoch that is yet to come":    "SELECT count(*) FROM journal j JOIN execution e ON e.n = j.execution WHERE j.epoch > e.epoch",
		"messages or waits without an execution":    "SELECT (SELECT count(*) FROM message WHERE execution NOT IN (SELECT n FROM execution)) + (SELECT count(*) FROM wait WHERE execution NOT IN (SELECT n FROM execution))",
		"messages that were never counted":          "SELECT count(*) FROM message m JOIN execution e ON e.n = m.execution WHERE m.seq > e.inbox",
		"snapshots that are ahead of their journal": "SELECT count(*) FROM snapshot s WHERE seq > (SELECT max(seq) FROM journal WHERE execution = s.execution)",
	}
	for what, query := range counts {
		var n int
		if err := db.QueryRow(query).Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n > 0 {
			j.fault("%d %s", n, what)
		}
	}
	return nil
}

// read loads everything through the store and from the ledger.
func (j *judge) read() (err error) {
	ctx := context.Background()
	s, err := opener(j.w.db(), j.w.schema).OpenStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for f := (store.Filter{Limit: 500}); ; {
		page, err := s.List(ctx, f)
		if err != nil {
			return err
		}
		for _, x := range page.Executions {
			r := &record{}
			waits, err := s.Waits(ctx, store.WaitFilter{Execution: x.ID, Limit: 1000})
			if err != nil {
				return err
			}
			r.waits = waits.Waits
			if r.Record, err = s.Load(ctx, x.ID, true); err != nil {
				return err
			}
			if r.short, err = s.Load(ctx, x.ID, false); err != nil {
				return err
			}
			for _, row := range r.Rows {
				facts, err := journal.Decode(row.Body)
				if err != nil {
					return fmt.Errorf("run %s row %d: %w", x.ID, row.Seq, err)
				}
				r.rows = append(r.rows, journal.Row{Seq: row.Seq, Epoch: row.Epoch, Facts: facts})
			}
			j.records[x.ID] = r
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			break
		}
	}
	lines, err := readLedger(j.w.ledger())
	for _, l := range lines {
		j.lines[l.Run] = append(j.lines[l.Run], l)
	}
	return err
}

// doctor checks one journal against the tree: every beginning and every result
// was allowed by the plan at that moment, and the header says what the plan
// says now.
func (j *judge) doctor(r *record, t *tree.Workflow) {
	r.tree = t
	h := journal.NewHistory()
	for _, row := range r.rows {
		for i := range row.Facts {
			f := &row.Facts[i]
			if row.Seq == 1 && i == 0 != (f.Kind == journal.Began) {
				j.fault("run %s: row 1 has %s at place %d", r.ID, f.Kind, i)
			}
			if h.Cancel != nil && !h.Cancel.Undo && f.Kind != journal.Recalled { // else it goes back, or has nothing to undo
				j.fault("run %s row %d: %s after it was cancelled", r.ID, row.Seq, f.Kind)
			}
			if h.Length > 0 || row.Seq == 1 && i > 0 {
				j.allowed(r, t, h, row, f)
			}
			if err := h.Fold(f, row.Seq); err != nil {
				j.fault("run %s row %d: %v", r.ID, row.Seq, err)
				return
			}
		}
		h.Length = row.Seq
	}
	r.hist = h
	if short, err := run.Replay(&r.short); err != nil {
		j.fault("run %s by its snapshot: %v", r.ID, err)
	} else if !bytes.Equal(short.State, h.State) || short.Length != h.Length {
		j.fault("run %s: the snapshot gives %s, the journal %s", r.ID, short.State, h.State)
	}
	j.stands(r, plan.Eval(t, h))
}

func (j *judge) allowed(r *record, t *tree.Workflow, h *journal.History, row journal.Row, f *journal.Fact) {
	if f.Kind != journal.Tried && f.Kind != journal.Done {
		return
	}
	p := plan.Eval(t, h)
	if n := tree.Find(t, f.Path); n != nil && !n.Kind.Acts() {
		if !slices.ContainsFunc(p.Facts, func(x journal.Fact) bool { return x.Kind == f.Kind && x.Path == f.Path }) &&
			!slices.ContainsFunc(p.Questions, func(q plan.Question) bool { return q.Join && q.Path == f.Path }) {
			j.fault("run %s row %d: %s is done before all of it has ended", r.ID, row.Seq, f.Path)
		}
		return
	}
	if slices.ContainsFunc(p.Facts, func(x journal.Fact) bool { return x.Kind == f.Kind && x.Path == f.Path }) {
		return // children that went back, all of them
	}
	i := slices.IndexFunc(p.Bodies, func(b plan.Body) bool { return b.Path == f.Path })
	if i < 0 {
		j.fault("run %s row %d: %s at %s is not in the plan", r.ID, row.Seq, f.Kind, f.Path)
		return
	}
	b := p.Bodies[i]
	begun := b.Place != nil && b.Place.Open != 0
	switch {
	case f.Kind == journal.Tried && begun:
		j.fault("run %s row %d: %s begins again before its last beginning has an end", r.ID, row.Seq, f.Path)
	case f.Kind == journal.Tried && f.Epoch != row.Epoch:
		j.fault("run %s row %d: epoch %d begins %s as epoch %d", r.ID, row.Seq, row.Epoch, f.Path, f.Epoch)
	case f.Kind == journal.Done && b.Mode == plan.Run && !begun:
		j.fault("run %s row %d: %s is done and was never begun", r.ID, row.Seq, f.Path)
	case f.Kind == journal.Done && b.Mode == plan.Run && b.Place.Open != row.Epoch:
		j.fault("run %s row %d: %s was begun by epoch %d and is done by epoch %d", r.ID, row.Seq, f.Path, b.Place.Open, row.Epoch)
	}
}

// stands compares the header row with the plan.
func (j *judge) stands(r *record, p plan.Plan) {
	outcomes := map[store.Status]plan.Outcome{
		store.Completed: plan.Completed, store.Failed: plan.Failed, store.Cancelled: plan.Cancelled,
		store.Pending: plan.Going, store.Waiting: plan.Going, store.Running: plan.Going,
		store.Compensating: plan.Going, store.Compensated: plan.Compensated,
	}
	want, ok := outcomes[r.Status]
	switch {
	case !ok:
		j.fault("run %s is %s: %s", r.ID, r.Status, r.Error)
	case p.Outcome != want && (want != plan.Going || r.Status == store.Waiting):
		j.fault("run %s is %s, the plan says %d (%v)", r.ID, r.Status, p.Outcome, p.Err)
	case j.final && !r.Status.Ended():
		j.fault("run %s of %s has not ended: %s", r.ID, r.Workflow, r.Status)
	}
	if r.Status.Ended() {
		if len(r.waits) > 0 {
			j.fault("run %s has ended and has %d open waits", r.ID, len(r.waits))
		}
		return
	}
	for _, x := range r.waits {
		if !slices.ContainsFunc(p.Waits, func(o plan.Wait) bool { return o.Wait.ID == x.ID }) {
			j.fault("run %s: wait %s (%s) is open and not in the plan", r.ID, x.ID, x.Name)
		}
	}
	for _, o := range p.Waits {
		answered := slices.ContainsFunc(r.Messages, func(m store.Message) bool { return m.Wait == o.Wait.ID })
		if !answered && !slices.ContainsFunc(r.waits, func(x store.Wait) bool { return x.ID == o.Wait.ID }) {
			j.fault("run %s: wait %s (%s) is in the plan and not open", r.ID, o.Wait.ID, o.Wait.Name)
		}
	}
}

// place is where and as which attempt of which owner a body ran.
type place struct {
	path    string
	epoch   int64
	attempt int
}

// bodies holds the ledger of a run against its journal.
func (j *judge) bodies(r *record) {
	begun, ended, failed := map[place]int{}, map[place]bool{}, map[place]bool{}
	pids := map[int64]int{}
	for _, l := range j.lines[r.ID] {
		at := place{l.Path, l.Epoch, l.Attempt}
		switch l.Kind {
		case "begin":
			begun[at]++
			j.report.Bodies++
			pids[l.Epoch] = l.PID
		case "end":
			ended[at] = true
		case "reconciled":
			ended[place{l.Path, l.Epoch, -1}] = true
		case "failed":
			failed[at] = true
		}
	}
	handed := map[place]bool{} // reported by its owner, perhaps after it was taken for dead
	for _, row := range r.rows {
		for _, f := range row.Facts {
			if f.Kind == journal.Handed {
				handed[place{f.Path, f.Epoch, 0}] = true
			}
		}
	}
	tried := map[place]int{}
	crashes := 0
	for _, row := range r.rows {
		for _, f := range row.Facts {
			at := place{f.Path, row.Epoch, f.Attempt}
			switch f.Kind {
			case journal.Tried:
				tried[at]++
			case journal.Done:
				if n := tree.Find(r.tree, f.Path); n != nil && !n.Kind.Acts() || undoes(r.tree, f.Path) {
					break
				}
				if !ended[at] && !ended[place{f.Path, row.Epoch, -1}] {
					j.fault("run %s row %d: %s is done by epoch %d, attempt %d, and the ledger has no end of it", r.ID, row.Seq, f.Path, row.Epoch, f.Attempt)
				}
			case journal.Waited:
				j.report.Resumed++
			case journal.Handed:
				j.report.Handed++
				if !j.w.mayHand() {
					j.fault("run %s row %d: %s was handed over, and no worker stopped or lost its lease", r.ID, row.Seq, f.Path)
				}
			case journal.Delayed:
				switch f.Why {
				case journal.ByError:
					j.report.Failed++
					if !failed[at] {
						j.fault("run %s row %d: attempt %d of %s failed, and the ledger does not know", r.ID, row.Seq, f.Attempt, f.Path)
					}
				case journal.ByCrash:
					if handed[place{f.Path, f.Epoch, 0}] {
						break // taken back
					}
					crashes++
					j.crash(r, row, &f, pids)
				}
			case journal.Failed:
				if f.Err != nil && f.Err.Code == "crash_limit" {
					crashes++
					j.crash(r, row, &f, pids)
				}
			}
		}
	}
	j.report.Crashed += crashes
	width := 1 // bodies at a time
	switch r.Workflow {
	case "fan":
		width = fanWidth
	case "party":
		width = partyWidth
	}
	if crashes > width*len(j.w.deaths) {
		j.fault("run %s: %d crashes are recorded and %d processes died", r.ID, crashes, len(j.w.deaths))
	}
	for at, n := range begun {
		if n > tried[at] && (!j.w.starved || r.Workflow != "booked") { // else a transaction was rolled back, and its body run again
			j.fault("run %s: the body of %s ran %d times as attempt %d of epoch %d, and its beginning is recorded %d times", r.ID, at.path, n, at.attempt, at.epoch, tried[at])
		}
	}
}

// undoes tells whether a path is that of children that go back: no body of the step does.
func undoes(t *tree.Workflow, path string) bool {
	step, _, undo := journal.CutUndo(path)
	n := tree.Find(t, step)
	return undo && n != nil && n.Undo == nil
}

// mayHand tells whether bodies may have been handed over.
func (w *world) mayHand() bool {
	return w.stops > 0 || len(w.live) > 0 || slices.ContainsFunc(w.deaths, func(d death) bool { return d.how == "paused" })
}

// crash finds the death that explains a recorded crash.
func (j *judge) crash(r *record, row journal.Row, f *journal.Fact, pids map[int64]int) {
	pid, known := pids[f.Epoch]
	died := slices.ContainsFunc(j.w.deaths, func(d death) bool { return d.pid == pid || !known })
	if !died {
		j.fault("run %s row %d: %s is recorded as crashed in epoch %d, and process %d was not seen to die", r.ID, row.Seq, f.Path, f.Epoch, pid)
	}
}

// tasks checks that what was acknowledged is there, and has come to what it must.
func (j *judge) tasks() {
	for i, t := range j.w.tasks {
		if t.tag != "" {
			n := 0
			for _, r := range j.records {
				if slices.Contains(r.Tags, t.tag) {
					n++
				}
			}
			if n > 1 {
				j.fault("start %d was made once, and is there %d times", i, n)
			}
		}
		if !t.acked {
			continue
		}
		j.report.Acks++
		r := j.records[t.run]
		if r == nil {
			j.fault("start %d of %s was acknowledged as %s and is lost", i, t.workflow, t.run)
			continue
		}
		j.task(t, r)
	}
}

func (j *judge) task(t *task, r *record) {
	input, err := json.Marshal(t.input)
	if began, err2 := journal.Compact(r.rows[0].Facts[0].Data); err != nil || err2 != nil || !bytes.Equal(began, input) {
		j.fault("run %s began with %s, was started with %s (%v, %v)", t.run, began, input, err, err2)
	}
	if t.cancel {
		if t.cancelled {
			j.report.Acks++
		}
		if t.cancelled && r.Status != store.Cancelled {
			j.fault("the cancel of %s was acknowledged, and it is %s", t.run, r.Status)
		}
		return
	}
	for i, n := range t.sends {
		if i < len(t.sent) && t.sent[i] {
			j.report.Acks++
			j.arrived(r, fmt.Sprint(n), "event")
		}
	}
	switch {
	case !j.final || r.hist == nil:
	case t.mayFail != "" && r.Status == store.Failed && r.ErrorCode == t.mayFail:
	case t.goesBack && r.Status == store.Compensated && r.ErrorCode == "permanent":
	case r.Status != store.Completed || t.goesBack:
		j.fault("run %s of %s is %s (%s): %s", t.run, t.workflow, r.Status, r.ErrorCode, r.Error)
	case t.want != nil:
		if err := t.want(r.hist.State); err != nil {
			j.fault("run %s of %s: %v", t.run, t.workflow, err)
		}
	}
}

// arrived checks that an acknowledged payload is in the inbox or was taken, once.
func (j *judge) arrived(r *record, payload, what string) {
	n := 0
	for _, row := range r.rows {
		for _, f := range row.Facts {
			if f.Kind == journal.Received && strings.Contains(string(f.Data), payload) {
				n++
			}
		}
	}
	for _, m := range r.Messages {
		if strings.Contains(string(m.Payload), payload) {
			n++
		}
	}
	if n != 1 {
		j.fault("run %s: the %s %s was acknowledged and is there %d times", r.ID, what, payload, n)
	}
}

// messages checks every answer that was acknowledged, and that no event was
// taken twice.
func (j *judge) messages() {
	for wait, a := range j.w.answers {
		r := j.records[a.run]
		switch {
		case r == nil:
			j.fault("run %s asked %s and is lost", a.run, wait)
		case a.acked:
			j.report.Acks++
			j.arrived(r, `"`+a.by+`"`, "answer")
		}
	}
	for id, r := range j.records {
		taken := map[int64]bool{}
		for _, row := range r.rows {
			for _, f := range row.Facts {
				if f.Message == 0 {
					continue
				}
				if taken[f.Message] {
					j.fault("run %s: message %d was taken twice", id, f.Message)
				}
				taken[f.Message] = true
			}
		}
		for _, m := range r.Messages {
			if taken[m.Seq] {
				j.fault("run %s: message %d was taken and is still there", id, m.Seq)
			}
		}
	}
}

// results checks that the pipeline kept one result for each document.
func (j *judge) results() {
	names, err := archived(j.w.archive())
	if err != nil {
		j.fault("%v", err)
	}
	n := 0
	for _, r := range j.records {
		if r.Workflow == pipeline.Name {
			n++
		}
	}
	if len(names) != n {
		j.fault("%d results were kept of %d documents", len(names), n)
	}
}
