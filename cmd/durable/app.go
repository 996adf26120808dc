package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/store"
)

// The exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitRefused  = 4 // by the state of things: ended, answered, ambiguous
)

// app is the command with all that it touches.
type app struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	env func(string) string
	now <-chan struct{} // closed when the user wants to stop at once

	db     string
	schema string
	json   bool
	parsed bool // the command line was understood
}

// run runs a command line and returns the exit code. Nothing else decides it.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	code := a.code(err)
	fmt.Fprintln(a.err, term.Text("durable: "+err.Error()))
	if code == exitUsage && !a.parsed {
		fmt.Fprintf(a.err, "Usage: %s\nTry: %s --help\n", cmd.UseLine(), cmd.CommandPath())
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "durable",
		Short: "Workflows that survive crashes, deploys and weeks of waiting",
		Long: "Durable runs workflows that survive crashes, deploys and weeks of waiting.\n" +
			"This command looks into a database of runs and acts on them. See it work first: durable demo",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.parsed = true
		},
		Run: func(cmd *cobra.Command, _ []string) { _ = cmd.Help() },
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, for programs")
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.demoCommand(), a.listCommand(), a.showCommand(), a.inboxCommand(), a.eventCommand(), a.publishCommand(), a.cancelCommand(), a.retryCommand(), a.forkCommand(), a.rerunCommand(), a.diffCommand(), a.cleanupCommand(), a.logsCommand(), a.aiCommand(), a.versionCommand())
	return root
}

// usageError is a command line that was understood and makes no sense.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (e usageError) Unwrap() error { return e.error }

// refusedError is something that the state of things does not allow.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// code is the exit code of an error.
func (a *app) code(err error) int {
	is := func(list ...error) bool {
		for _, target := range list {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	var (
		wrong   usageError
		refused refusedError
	)
	switch {
	case !a.parsed, errors.As(err, &wrong), is(durable.ErrInvalid, durable.ErrTooLarge, store.ErrBadCursor):
		return exitUsage
	case errors.As(err, &refused), is(durable.ErrKeyConflict, durable.ErrNotForkable, aitest.ErrNoCalls, aitest.ErrSecret, durable.ErrRunDone, durable.ErrCompensating, durable.ErrNotRetryable, durable.ErrNoSuchWait, durable.ErrAmbiguous, durable.ErrInboxFull, store.ErrNewer, store.ErrReadOnly, store.ErrNotDatabase):
		return exitRefused
	case is(durable.ErrNotFound, os.ErrNotExist):
		return exitNotFound
	}
	return exitFailed
}

// screen is where output for people goes.
func (a *app) screen() *term.Screen { return term.NewScreen(a.out, a.env) }

// self is how the user calls this command.
func self() string {
	name, err := os.Executable()
	if err != nil || strings.Contains(name, "go-build") {
		return "go run ./cmd/durable"
	}
	if !filepath.IsAbs(os.Args[0]) {
		return os.Args[0]
	}
	return filepath.Base(name)
}
