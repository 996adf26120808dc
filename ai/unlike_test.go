package ai

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// Text that differs each time makes a new call each time the body runs: that is logged with the step, and nothing else is.
func TestTextThatDiffersIsLogged(t *testing.T) {
	runs := 0
	for name, c := range map[string]struct {
		prompt func() string
		opts   []Option
		fails  bool // the step's first attempt fails, which is another reason to ask afresh
		warns  int
		asked  int
	}{
		"the time":       {prompt: func() string { return time.Now().String() }, warns: 1, asked: 2},
		"a counter":      {prompt: func() string { runs++; return fmt.Sprint(runs) }, warns: 1, asked: 2},
		"equal text":     {prompt: func() string { return "x" }, asked: 1},
		"with a key":     {prompt: func() string { return time.Now().String() }, opts: []Option{Key("k")}, asked: 1},
		"a failed step":  {prompt: func() string { return "x" }, fails: true, asked: 2},
		"kept, the time": {prompt: func() string { return time.Now().String() }, opts: []Option{Keep()}, warns: 1, asked: 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := &counted{answer: echoes}
			w := durable.Define("w", durable.Step("s", func(ctx context.Context, d *doc) error {
				if _, err := GenerateText(ctx, "smart", c.prompt(), c.opts...); err != nil {
					return err
				}
				if info, _ := durable.Info(ctx); c.fails && info.Failures == 0 {
					return fmt.Errorf("no")
				}
				return durable.Sleep(ctx, time.Hour)
			}).Retry(durable.Retry{MaxAttempts: 2}))
			durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				r := durabletest.Start(e, w, doc{})
				r.Done()
				logs, err := e.Logs(t.Context(), r.ID, time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				warns := 0
				for _, l := range logs {
					if strings.Contains(l.Text, "differs each time") {
						warns++
					}
				}
				if warns != c.warns || p.count() != c.asked {
					t.Errorf("%d warnings, %d requests, want %d and %d", warns, p.count(), c.warns, c.asked)
				}
			}, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
		})
	}
}
