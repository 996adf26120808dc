package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/cmd/durable/internal/demo"
	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// Options are what a user can choose.
type Options struct {
	DB        string        // database file; empty: a temporary one
	Documents string        // folder; empty: the samples
	Workers   int           // processes at a time
	Every     time.Duration // mean time between two kills
	Cycles    int           // kills at least
	Seed      uint64        // of the times, the victims, and the model's faults
	Faults    bool          // the model fails at times
	Command   []string      // how to start a worker, but for its flags
	Out       *term.Screen
	Err       io.Writer // of the workers too
	JSON      bool      // print the verdict only
	Self      string    // how the user calls this command
}

// ErrBroken: something is lost or unexplained.
var ErrBroken = errors.New("a promise is broken")

const (
	look      = 150 * time.Millisecond // between two looks at the runs
	patience  = 20 * time.Second       // for workers that are told to stop
	minLease  = 500 * time.Millisecond
	maxLease  = 2 * time.Second
	roundTime = 3 * time.Minute // a round that takes longer is stuck

	// mostCut is how often a body is cut off. At five times in a row it is taken for what kills the process, and that is
	// not what is to be shown here.
	mostCut = 3
)

// place is where a body runs.
type place struct {
	run  durable.ID
	path string
}

// show is chaos at work.
type show struct {
	Options
	documents []demo.Document
	engine    *durable.Engine
	process   *durable.Workflow[pipeline.Document]
	crew      crew
	ledger    reader
	standIn   *demo.StandIn
	till      till
	cut       map[place]int // how often a kill has hit a body
	chance    *rand.Rand
	dir       string
	mark      string // of this show's runs
	tasks     []task
	open      map[durable.ID]bool // runs of this round that have not ended
	round     int
	begin     time.Time
	line      bool // the status line is on the screen
}

// Run starts workers and kills them until all documents are read and enough were killed;
// then it says what came of it. ErrBroken if that is not what was promised.
func Run(ctx context.Context, o Options) (err error) {
	o.Err = &locked{w: o.Err}
	s := &show{Options: o, chance: rand.New(rand.NewPCG(o.Seed, 1)), begin: time.Now(), cut: make(map[place]int)}
	if s.documents, err = demo.Documents(o.Documents); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "durable-chaos-"); err != nil {
		return err
	}
	defer func() {
		switch {
		case err == nil || errors.Is(err, demo.ErrStopped):
			err = errors.Join(err, os.RemoveAll(s.dir))
		default:
			fmt.Fprintf(o.Err, "What is left of it is in %s\n", s.dir)
		}
	}()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.standIn.Close()) }()
	defer func() { err = errors.Join(err, s.engine.Close()) }()
	err = s.play(ctx)
	err = errors.Join(err, s.crew.dismiss(context.WithoutCancel(ctx), patience))
	s.erase()
	if err != nil {
		if ctx.Err() != nil {
			err = demo.ErrStopped
		}
		return err
	}
	return s.end(ctx)
}

func (s *show) prepare(ctx context.Context) (err error) {
	if s.DB == "" {
		s.DB = filepath.Join(s.dir, "chaos.db")
	}
	job := Worker{
		DB: s.DB, Ledger: filepath.Join(s.dir, "ledger"), Results: filepath.Join(s.dir, "results"),
		Lease: min(max(s.Every, minLease), maxLease),
	}
	if err := os.Mkdir(job.Results, 0o700); err != nil {
		return err
	}
	s.crew = crew{command: s.Command, job: job, killed: make(map[int]bool)}
	s.ledger.path = job.Ledger
	s.mark = "chaos-" + s.begin.UTC().Format("20060102T150405.000")
	if s.engine, s.process, err = job.open(ctx, nil); err != nil {
		return err
	}
	// A body is short against the time between kills.
	s.standIn, err = demo.Serve(ctx, demo.Manners{Latency: min(s.Every*3/10, time.Second), Faults: s.Faults, Seed: s.Seed, Seen: s.till.seen})
	if err != nil {
		return errors.Join(err, s.engine.Close())
	}
	s.crew.job.Model = s.standIn.URL
	return nil
}

// play runs rounds of all documents until enough workers were killed.
func (s *show) play(ctx context.Context) error {
	s.say("%d worker processes read %d documents from one file:\n%s\n"+
		"About every %s one of them is killed with SIGKILL and replaced, at least %d\n"+
		"times. Questions to people are answered by rule. The seed is %d.\n"+
		"The model is %s: %s. Its server at\n"+
		"%s counts what was paid, and is in this process, which nobody kills.\n\n",
		s.Workers, len(s.documents), s.DB, s.Every, s.Cycles, s.Seed, demo.OfflineModel, offline.Badge, s.standIn.URL)
	for range s.Workers {
		if err := s.crew.hire(s.Err); err != nil {
			return err
		}
	}
	for s.round = 1; s.round == 1 || len(s.crew.killed) < s.Cycles; s.round++ {
		if err := s.start(ctx); err != nil {
			return err
		}
		if err := s.reap(ctx); err != nil {
			return err
		}
	}
	s.round--
	return nil
}

// start starts a round: each document under a key of its own.
func (s *show) start(ctx context.Context) error {
	inputs := make([]pipeline.Document, len(s.documents))
	for i, d := range s.documents {
		inputs[i].ID = d.ID
	}
	runs, err := s.process.StartMany(ctx, s.engine, inputs, func(i int) []durable.StartOption {
		return []durable.StartOption{durable.Tags(s.mark), durable.Key(fmt.Sprintf("%s/%d/%s", s.mark, s.round, s.documents[i].Key()))}
	})
	if err != nil {
		return err
	}
	s.open = make(map[durable.ID]bool)
	for i, r := range runs {
		s.open[r.ID] = true
		s.tasks = append(s.tasks, task{s.documents[i], r.ID})
	}
	return nil
}

// reap kills workers until all runs of the round have ended.
func (s *show) reap(ctx context.Context) error {
	late := time.NewTimer(max(roundTime, 60*s.Every))
	defer late.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	death := time.NewTimer(s.pause())
	defer death.Stop()
	for len(s.open) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("round %d: %d runs have not ended: %w", s.round, len(s.open), ErrBroken)
		case <-death.C:
			if err := s.kill(); err != nil {
				return err
			}
			death.Reset(s.pause())
		case <-tick.C:
			if err := s.look(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause is from a half to one and a half of Every.
func (s *show) pause() time.Duration {
	return s.Every/2 + time.Duration(s.chance.Int64N(int64(s.Every)+1))
}

// look answers questions and sees which runs have ended.
func (s *show) look(ctx context.Context) error {
	if err := s.crew.deserter(); err != nil {
		return err
	}
	if _, err := pipeline.AnswerByRule(ctx, s.engine); err != nil {
		return err
	}
	filter := durable.Filter{Tags: []string{s.mark}, Limit: 1000}
	for range 1 + len(s.documents)/1000 { // newest first: this round's
		page, err := s.engine.Executions(ctx, filter)
		if err != nil {
			return err
		}
		for _, x := range page.Executions {
			if x.Status.Ended() {
				delete(s.open, x.ID)
			}
		}
		if filter.Cursor = page.Cursor; filter.Cursor == "" {
			break
		}
	}
	s.status()
	return nil
}

// kill kills a worker, one in the middle of a step if there is one, and hires another.
func (s *show) kill() error {
	if err := s.ledger.read(); err != nil {
		return err
	}
	var ready, busy []int
	for i, m := range s.crew.alive {
		if m.isReady() {
			work := s.ledger.open(m.number)
			if slices.ContainsFunc(work, func(e entry) bool { return s.cut[place{e.Run, e.Path}] >= mostCut }) {
				continue
			}
			ready = append(ready, i)
			if len(work) > 0 {
				busy = append(busy, i)
			}
		}
	}
	if len(busy) > 0 {
		ready = busy
	}
	if len(ready) == 0 {
		return nil // all are just starting: next time
	}
	m, err := s.crew.kill(ready[s.chance.IntN(len(ready))])
	if err != nil {
		return err
	}
	if err := s.ledger.read(); err != nil {
		return err
	}
	s.say("%s  %s\n", s.Out.Paint(term.Red, fmt.Sprintf("kill -9 %d", len(s.crew.killed))), s.obituary(m))
	return s.crew.hire(s.Err)
}

// obituary says what a worker was doing.
func (s *show) obituary(m *member) string {
	var work []string
	for _, e := range s.ledger.open(m.number) {
		s.cut[place{e.Run, e.Path}]++
		name := strings.TrimSuffix(filepath.Base(e.Doc), ".txt")
		work = append(work, path.Base(e.Path)+" of "+name)
	}
	if len(work) == 0 {
		return fmt.Sprintf("worker %d, between steps", m.number)
	}
	text := fmt.Sprintf("worker %d, in %s", m.number, strings.Join(work, ", "))
	if wide, _ := s.Out.Size(); wide > 0 {
		text = term.Cut(term.Line(text), wide-14)
	}
	return text
}

// end judges, and prints the verdict.
func (s *show) end(ctx context.Context) error {
	if err := s.ledger.read(); err != nil {
		return err
	}
	if err := s.standIn.Close(); err != nil { // what it still generates for the dead is told then
		return err
	}
	v, err := judge(ctx, s.engine, s.tasks, s.ledger.all, s.till.all(), s.crew.killed, pipeline.Folder(s.crew.job.Results))
	if err != nil {
		return err
	}
	v.Workers = s.crew.number
	if s.JSON {
		err = term.WriteJSON(s.Out, v)
	} else {
		err = s.report(v)
	}
	if err == nil && len(v.Lost)+len(v.Unexplained) > 0 {
		err = fmt.Errorf("%w: %d results lost, %d things unexplained", ErrBroken, len(v.Lost), len(v.Unexplained))
	}
	return err
}
