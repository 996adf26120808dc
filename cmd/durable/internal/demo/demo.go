package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/store/sqlite"
)

// The demo's numbers.
const (
	slots     = 10 // steps at a time
	aiSlots   = 5  // of them, steps that ask the model
	refresh   = 120 * time.Millisecond
	lookFirst = 700 * time.Millisecond // how long a question is on the board before a rule answers it
	grace     = 3 * time.Second        // for steps that run, when the demo is stopped
	maxState  = 16 << 20               // a document of MaxFile fits, whatever is in it
)

// Options are what a user can choose.
type Options struct {
	DB        string        // database file; empty: a temporary one
	Documents string        // folder; empty: the samples
	Yes       bool          // a rule answers the questions
	Model     Choice        // to be asked
	Latency   time.Duration // longest time of an answer of the offline model
	Faults    bool          // the server of the offline model fails at times
	Seed      uint64        // of the faults
	In        io.Reader
	Out       *term.Screen
	JSON      bool            // print the result only, as JSON; asks nobody
	Self      string          // how the user calls this command
	Now       <-chan struct{} // closed when stopping must not take its time
}

// ErrStopped: the user stopped the demo before its end.
var ErrStopped = errors.New("stopped before the end")

// ErrUnwell: some runs did not complete.
var ErrUnwell = errors.New("not all documents were done")

// run is a demo at work.
type run struct {
	Options
	*follower
	standIn  *StandIn // nil if the model is another one
	client   *ai.Client
	process  *durable.Workflow[pipeline.Document]
	board    board
	reviewer reviewer
	begin    time.Time
	temp     string // folder of a temporary database
	answered int
	typed    bool // a person answers at this terminal
}

// Run runs the demo until all documents are read, all that is left waits for a person who
// does not answer now, or ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	documents, err := Documents(o.Documents)
	if err != nil {
		return err
	}
	r := &run{Options: o, begin: time.Now()}
	if err := r.connect(ctx); err != nil {
		return err
	}
	if r.standIn != nil {
		defer func() { err = errors.Join(err, r.standIn.Close()) }()
	}
	if r.DB == "" {
		if r.temp, err = os.MkdirTemp("", "durable-demo-"); err != nil {
			return err
		}
		r.DB = filepath.Join(r.temp, "demo.db")
	}
	engine, err := r.open(ctx)
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- engine.Run(ai.WithClient(ctx, r.client)) }()
	go func() {
		select {
		case <-r.Now:
			engine.StopNow()
		case <-ctx.Done():
		}
	}()
	err = r.demonstrate(ctx, engine, documents)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = ErrStopped
	}
	err = errors.Join(err, engine.Close(), <-running)
	return errors.Join(err, r.farewell(err))
}

// connect finds the model, and sees that it can be asked.
func (r *run) connect(ctx context.Context) (err error) {
	url := ""
	if r.Model.Offline {
		if r.standIn, err = Serve(ctx, Manners{Latency: r.Latency, Faults: r.Faults, Seed: r.Seed}); err != nil {
			return err
		}
		url = r.standIn.URL
	}
	if r.client, err = Client(r.Model, url); err == nil {
		err = ai.Check(ai.WithClient(ctx, r.client), pipeline.Smart)
	}
	if err != nil && r.standIn != nil {
		err = errors.Join(err, r.standIn.Close())
	}
	return err
}

func (r *run) open(ctx context.Context) (*durable.Engine, error) {
	office := pipeline.Pipeline{Source: Source{}, Archive: new(pipeline.Memory)}
	r.process = office.Workflow()
	return durable.Open(ctx, sqlite.Open(r.DB), durable.Config{
		Workflows:     []durable.Definition{r.process},
		Queues:        map[string]durable.Queue{"default": {Concurrency: slots}, "ai": {Concurrency: aiSlots}},
		ShutdownGrace: grace,
		MaxPayload:    maxState,
		Logger:        slog.New(slog.DiscardHandler), // the board tells
	})
}

// demonstrate starts the documents and follows them.
func (r *run) demonstrate(ctx context.Context, engine *durable.Engine, documents []Document) error {
	if err := r.start(ctx, engine, documents); err != nil {
		return err
	}
	r.board = board{screen: r.Out, begin: r.begin}
	for _, p := range r.places {
		r.board.name = max(r.board.name, min(term.Width(term.Line(p.Name)), 32))
	}
	r.typed = !r.Yes && !r.JSON && r.Out.TTY && term.IsTerminal(r.In)
	r.reviewer = reviewer{screen: r.Out, engine: engine, later: make(map[string]bool)}
	if err := r.introduce(); err != nil {
		return err
	}
	if err := r.release(ctx); err != nil {
		return err
	}
	for {
		over, err := r.follow(ctx)
		if err != nil || over {
			if err == nil {
				err = r.conclude()
			}
			return err
		}
		if err := r.reviews(ctx); err != nil {
			return err
		}
	}
}

// start starts a run for each document, unless there is one.
func (r *run) start(ctx context.Context, engine *durable.Engine, documents []Document) error {
	inputs := make([]pipeline.Document, len(documents))
	for i, d := range documents {
		inputs[i].ID = d.ID
	}
	runs, err := r.process.StartMany(ctx, engine, inputs, func(i int) []durable.StartOption {
		return []durable.StartOption{durable.Key(documents[i].Key()), durable.Tags(tag)}
	})
	if err != nil {
		return err
	}
	r.follower = &follower{engine: engine, byRun: make(map[durable.ID]*place)}
	for i, d := range documents {
		p := &place{Document: d, run: runs[i].ID, before: runs[i].Existing}
		r.places = append(r.places, p)
		r.byRun[p.run] = p
	}
	return nil
}

// introduce says what is going to happen.
func (r *run) introduce() error {
	if r.JSON {
		return nil
	}
	before := 0
	for _, p := range r.places {
		if p.before {
			before++
		}
	}
	from := many(len(r.places), "sample document")
	if r.Documents != "" {
		from = many(len(r.places), "document") + " of " + term.Line(r.Documents)
	}
	s := r.Out
	_, err := fmt.Fprintf(s, "%s reads %s:\nwhat is each one, what does it say, does it add up?\n"+
		"%s\nUp to %d steps run at a time, %d of them asking the model. Every step, and every\nanswer of the model, is stored in %s\n",
		s.Paint(term.Bold, "The demo"), from, r.introduceModel(), slots, aiSlots, r.DB)
	if err == nil && before > 0 {
		_, err = fmt.Fprintf(s, "%d of them were started before: they go on where they were, and no answer\nthat is stored is paid for again.\n", before)
	}
	if err == nil && !r.typed {
		why := ""
		if !r.Yes {
			why = "Nobody can be asked here, so this goes as with --yes.\n"
		}
		_, err = fmt.Fprintf(s, "%sQuestions to people are answered by rule: the model is believed if it is at\nleast 50 %% sure; amounts that do not add up are kept and flagged.\n", why)
	}
	if err == nil {
		_, err = fmt.Fprintln(s)
	}
	return err
}

// introduceModel says which model is asked, and why.
func (r *run) introduceModel() string {
	text := fmt.Sprintf("The model is %s: %s.\n", r.Out.Paint(term.Bold, term.Line(r.Model.Name)), r.Model.Reason)
	if !r.Model.Offline {
		return text + fmt.Sprintf("It may spend %s and %s tokens; then the rest waits for you.", mostMoney, term.Thousands(mostTokens))
	}
	text += fmt.Sprintf("It is %s, behind a server at\n%s", r.Model.Badge, r.standIn.URL)
	if r.Faults {
		text += " that is at times too busy, overloaded, or gone in the middle\nof an answer, as real ones are"
	}
	return text + "."
}

// follow shows the runs until nothing more happens by itself: then over says whether all
// is done, or the rest is left for later.
func (r *run) follow(ctx context.Context) (over bool, err error) {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	if r.Out.TTY && !r.JSON {
		defer func() { err = errors.Join(err, r.board.clear()) }()
	}
	for {
		if err := r.refresh(ctx); err != nil {
			return false, err
		}
		now := time.Now()
		switch {
		case r.JSON:
		case r.Out.TTY:
			err = r.board.draw(r.follower, now)
		default:
			err = tell(r.Out, r.follower, now)
		}
		if err != nil {
			return false, err
		}
		if err := r.rule(ctx, now); err != nil {
			return false, err
		}
		if c := r.count(); c.over() && (c.waiting == c.held || r.typed) {
			return !r.typed || len(r.undecided()) == 0, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
	}
}

// rule answers what has been on the board for a moment, where no person does.
func (r *run) rule(ctx context.Context, now time.Time) error {
	if r.typed {
		return nil
	}
	wait := min(lookFirst, r.Latency)
	for _, p := range r.places {
		if p.question == nil || p.question.Name == holdName || now.Sub(p.question.Opened) < wait {
			continue
		}
		if err := r.reviewer.byRule(ctx, *p.question); err != nil {
			return err
		}
		r.answered++
	}
	return nil
}

// undecided is the documents with a question that was not put off.
func (r *run) undecided() (list []*place) {
	for _, p := range r.places {
		if p.question != nil && !r.reviewer.later[p.question.ID] {
			list = append(list, p)
		}
	}
	return list
}

// reviews asks the person all open questions.
func (r *run) reviews(ctx context.Context) error {
	if r.reviewer.lines == nil {
		r.reviewer.lines = read(bufio.NewReader(r.In))
	}
	list := r.undecided()
	if !r.reviewer.rule {
		fmt.Fprintf(r.Out, "%s. These runs hold no slot and no\ngoroutine: stop here with Ctrl-C, and they wait in the file as long as it takes.\n",
			r.Out.Paint(term.Bold, fmt.Sprintf("%s done, %s for you", many(r.count().completed, "document"), many(len(list), "question"))))
	}
	for i, p := range list {
		err := r.reviewer.review(ctx, p, i+1, len(list))
		if errors.Is(err, errEnough) { // the end of the input: nobody is there any more
			for _, p := range list[i:] {
				r.reviewer.later[p.question.ID] = true
			}
			break
		}
		if err != nil {
			return err
		}
		if !r.reviewer.later[p.question.ID] {
			r.answered++
		}
	}
	_, err := fmt.Fprintln(r.Out)
	return err
}

// conclude prints the result.
func (r *run) conclude() error {
	if r.JSON {
		return r.print()
	}
	how := " by rule"
	if r.typed && !r.reviewer.rule {
		how = ""
	}
	if r.typed && r.reviewer.rule {
		how = " by you and by rule"
	}
	if err := report(r.Out, r.follower, time.Since(r.begin), r.answered, how); err != nil {
		return err
	}
	return r.well()
}

// well is an error if not all is well.
func (r *run) well() error {
	if c := r.count(); c.failed+c.blocked > 0 {
		return ErrUnwell
	}
	return nil
}

// outcome is a document in the result as JSON.
type outcome struct {
	Document  string             `json:"document"`
	Execution durable.ID         `json:"execution"`
	Status    durable.Status     `json:"status"`
	Retries   int                `json:"retries"`
	Calls     []ai.CallInfo      `json:"calls"` // of the model
	Result    *pipeline.Document `json:"result,omitempty"`
	Error     *durable.Failure   `json:"error,omitempty"`
}

// print prints the result as JSON, without the texts that were read.
func (r *run) print() error {
	list := make([]outcome, len(r.places))
	for i, p := range r.places {
		list[i] = outcome{Document: p.Name, Execution: p.run, Status: p.x.Status, Retries: p.retries(), Calls: p.calls, Error: p.x.Error}
		if p.standing() == completed {
			p.result.Content = ""
			list[i].Result = &p.result
		}
	}
	sum, _ := r.spent()
	if err := term.WriteJSON(r.Out, map[string]any{"model": r.Model, "calls": sum, "documents": list}); err != nil {
		return err
	}
	return r.well()
}

// farewell says what to do next, and removes a temporary database that nobody needs.
func (r *run) farewell(end error) error {
	if r.JSON {
		if r.temp != "" && !errors.Is(end, ErrStopped) {
			return os.RemoveAll(r.temp)
		}
		return nil
	}
	unfinished := r.follower != nil && r.count().completed+r.count().failed < len(r.places)
	switch {
	case unfinished:
		_, err := fmt.Fprintf(r.Out, "\nWhat is not done waits in %s\n  go on       %s demo --db %s\n  questions   %s inbox list --db %s\n", r.DB, r.Self, r.DB, r.Self, r.DB)
		return err
	case end != nil && r.follower == nil:
	case r.temp == "":
		_, err := fmt.Fprintf(r.Out, "\nLook at what is stored:\n  %s list --db %s\n  %s show %s --db %s\n", r.Self, r.DB, r.Self, r.places[0].run, r.DB)
		return err
	default:
		_, err := fmt.Fprintf(r.Out, "\nTry next:\n"+
			"  %[1]s demo --chaos           kill -9 on the way: nothing is lost\n"+
			"  %[1]s demo --documents DIR   your own .txt and .md files\n"+
			"  %[1]s demo --db demo.db      keep it, for: list, show\n", r.Self)
		if err != nil {
			return err
		}
	}
	if r.temp == "" {
		return nil
	}
	return os.RemoveAll(r.temp)
}
