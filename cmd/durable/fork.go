package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// forking are the flags of fork and rerun.
type forking struct {
	state, file, key, version string
	tags                      []string
}

// forked is what they print as JSON.
type forked struct {
	Execution durable.ID     `json:"execution"`
	Origin    durable.Origin `json:"origin"`
}

func (a *app) forkCommand() *cobra.Command {
	var f forking
	cmd := &cobra.Command{
		Use:   "fork ID [PATH]",
		Short: "Begin a run that goes on from a step of another; without a step, anew with its input",
		Long: "Begins a run that has done what the other had done before it came to the step at PATH for the last time, and goes on\n" +
			"from there: with the code that its workers have now, and maybe with another state. Nothing before the step is repeated. The\n" +
			"other run stays as it is. durable show ID has the paths.",
		Example: "  durable fork 0198c5 extract_invoice\n  durable fork 0198c5 extract_invoice --state '{\"id\":\"7\",\"type\":\"invoice\"}'",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := a.forkOptions(cmd, f)
			if err != nil {
				return err
			}
			path := ""
			if len(args) == 2 {
				path = args[1]
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				return a.fork(ctx, e, id, path, opts)
			})
		},
	}
	return a.forkFlags(cmd, &f)
}

func (a *app) rerunCommand() *cobra.Command {
	var f forking
	cmd := &cobra.Command{
		Use:   "rerun ID",
		Short: "Begin a run that goes on from where another has failed",
		Long: "Forks a run that has failed from the step that failed. If that is in a lane or an item, it is forked from the Parallel or Each\n" +
			"around it, and all its lanes and items run again; a step that called a child calls another. See durable fork.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := a.forkOptions(cmd, f)
			if err != nil {
				return err
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				return a.rerun(ctx, e, id, cmd.Flags().Changed("state") || f.file != "", opts)
			})
		},
	}
	return a.forkFlags(cmd, &f)
}

func (a *app) forkFlags(cmd *cobra.Command, f *forking) *cobra.Command {
	flags := cmd.Flags()
	flags.StringVar(&f.state, "state", "", "go on with this state, `JSON`; from the beginning, with this input")
	flags.StringVar(&f.file, "file", "", "take the state from `FILE`; - is standard input")
	flags.StringVar(&f.key, "key", "", "do it once: the same `KEY` gives the same run")
	flags.StringSliceVar(&f.tags, "tag", nil, "the run has these tags, and not those of the other; repeat it for several")
	flags.StringVar(&f.version, "workflow-version", "", "`VERSION` of the workflow that goes on, if it is another")
	return a.dbFlag(cmd)
}

func (a *app) forkOptions(cmd *cobra.Command, f forking) (opts []durable.StartOption, err error) {
	if given := cmd.Flags().Changed("state"); given || f.file != "" {
		state, err := a.state(f.state, given, f.file)
		if err != nil {
			return nil, err
		}
		opts = append(opts, durable.Edit(func(s *json.RawMessage) error {
			if is := bytes.TrimSpace(*s); len(is) > 0 && is[0] == '{' && state[0] != '{' {
				return usage("the state of that run is an object, and what was given is none: %s", term.Cut(term.Line(string(state)), 80))
			}
			*s = state
			return nil
		}))
	}
	if f.key != "" {
		opts = append(opts, durable.Key(f.key))
	}
	if f.tags != nil {
		opts = append(opts, durable.Tags(f.tags...))
	}
	if cmd.Flags().Changed("workflow-version") {
		opts = append(opts, durable.InVersion(f.version))
	}
	return opts, nil
}

// state reads a state, which is JSON.
func (a *app) state(text string, given bool, file string) (json.RawMessage, error) {
	raw, err := a.value(text, given, file)
	if err != nil {
		return nil, err
	}
	if quoted, err := json.Marshal(strings.TrimSpace(text)); given && err == nil && bytes.Equal(quoted, raw) { // it was text
		return nil, usage("the state is not JSON: %s", term.Cut(term.Line(text), 80))
	}
	return raw, nil
}

func (a *app) fork(ctx context.Context, e *durable.Engine, id durable.ID, path string, opts []durable.StartOption) error {
	made, err := e.Fork(ctx, id, path, opts...)
	if err != nil {
		return err
	}
	if a.json {
		return term.WriteJSON(a.out, forked{made, durable.Origin{Run: id, Path: path}})
	}
	from := "from its beginning"
	if path != "" {
		from = "from " + term.Line(path)
	}
	_, err = fmt.Fprintf(a.out, "Run %s goes on as run %s, %s.\nHow they differ: durable diff %s\n", id, made, from, made)
	return err
}

func (a *app) rerun(ctx context.Context, e *durable.Engine, id durable.ID, edits bool, opts []durable.StartOption) error {
	x, err := e.Execution(ctx, id, durable.WithSteps)
	if err != nil {
		return err
	}
	refuse := func(text string, args ...any) error {
		return refusedError{fmt.Errorf("run %s is %s, and "+text, append([]any{id, x.Status}, args...)...)}
	}
	switch {
	case x.Status == durable.Compensated || x.Status == durable.CompensationFailed:
		return refuse("what it did was undone; begin anew: durable fork %s", id)
	case x.Status != durable.Failed || x.Error == nil || x.Error.Path == "":
		return refuse("no step of it has failed; name one: durable fork %s PATH", id)
	}
	failed := x.Error.Path
	for _, s := range x.Steps {
		if s.Path == failed && !slices.Contains([]string{"step", "wait", "branch"}, s.Kind) {
			return refuse("what failed is the %s %s itself: its condition, or what puts its parts together; to run it again with all that is in it: durable fork %s %s", s.Kind, term.Line(failed), id, term.Line(failed))
		}
	}
	for path := failed; ; {
		err := a.fork(ctx, e, id, path, opts)
		path = path[:max(strings.LastIndexAny(path, "/["), 0)]
		switch {
		case !errors.Is(err, durable.ErrNotForkable) || path == "":
			return err
		case edits:
			return refuse("%s is in a lane or an item, so --state would be that of the whole run; fork from the node around it: durable fork %s PATH --state JSON", term.Line(failed), id)
		}
	}
}
