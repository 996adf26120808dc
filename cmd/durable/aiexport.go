package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// aiExport are the flags of "ai export".
type aiExport struct {
	out   string
	force bool
	rec   aitest.Recording
}

func (a *app) aiExportCommand() *cobra.Command {
	var x aiExport
	cmd := &cobra.Command{
		Use:   "export ID",
		Short: "Make a cassette of what a run has asked models: an incident becomes a test",
		Long: "Writes a cassette of what a run, its children and all below them have asked models, and what came back.\n" +
			"A test plays it with aitest.Cassette, without a key and without a network.\n\n" +
			"Prompts, answers and files are in it as they are recorded: --hide what is not for everybody. What looks\n" +
			"like a key is refused.",
		Example: "  durable ai export 0198c5 --out testdata/incident.json --hide '[\\w.]+@[\\w.]+'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if x.force && x.out == "" {
				return usage("--force goes with --out")
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				return a.aiExport(ctx, e, id, x)
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&x.out, "out", "o", "", "`FILE` to write; without it the cassette is printed")
	f.BoolVar(&x.force, "force", false, "replace the file if there is one")
	f.StringArrayVar(&x.rec.Hide, "hide", nil, "regular expression; what it fits becomes [hidden]. It is written into the cassette, so do not spell out\nwhat is secret; repeat it for several")
	return a.dbFlag(cmd)
}

func (a *app) aiExport(ctx context.Context, e *durable.Engine, id durable.ID, x aiExport) error {
	if err := x.free(); err != nil {
		return err
	}
	var b bytes.Buffer
	done, err := aitest.Export(ctx, e, id, &b, x.rec)
	if err != nil {
		return err
	}
	cassette := b.Bytes()
	if x.out == "" {
		if _, err := a.out.Write(cassette); err != nil || a.json {
			return err
		}
		return writeExported(term.NewScreen(a.err, a.env), "the cassette", len(cassette), done)
	}
	if err := replace(x.out, cassette); err != nil {
		return err
	}
	if a.json {
		return term.WriteJSON(a.out, struct {
			File  string `json:"file"`
			Bytes int    `json:"bytes"`
			aitest.Exported
		}{x.out, len(cassette), done})
	}
	return writeExported(a.screen(), x.out, len(cassette), done)
}

// free says why the file is not to be written.
func (x *aiExport) free() error {
	if x.out == "" {
		return nil
	}
	switch at, err := os.Lstat(x.out); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !at.Mode().IsRegular():
		return refusedError{fmt.Errorf("%s is there, and no plain file; name another", x.out)}
	case !x.force:
		return refusedError{fmt.Errorf("there is a file %s; --force replaces it", x.out)}
	}
	return nil
}

// replace writes a file whole, or not at all.
func replace(path string, content []byte) error {
	mode := fs.FileMode(0o644)
	if at, err := os.Stat(path); err == nil {
		mode = at.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".cassette-*")
	if err == nil {
		_, err = f.Write(content)
		if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok { // not of the file that nobody has named
		err = failed.Err
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	return nil
}

func writeExported(s *term.Screen, name string, size int, x aitest.Exported) error {
	fmt.Fprintf(s, "%s: %s of %s, %s\n", term.Line(name), count(x.Calls, "call"), count(x.Runs, "run"), count(size, "byte"))
	for _, l := range []struct {
		n         int
		one, many string
	}{
		{x.LeftOut, "1 request is left out: nobody knows what came of it", "%d requests are left out: nobody knows what came of them"},
		{x.Superseded, "1 answer was superseded: its step failed and asked afresh", "%d answers were superseded: their steps failed and asked afresh"},
		{x.Files, "1 file is no text, and in it as it is", "%d files are no text, and in it as they are"},
	} {
		switch {
		case l.n == 1:
			fmt.Fprintln(s, l.one)
		case l.n > 1:
			fmt.Fprintf(s, l.many+"\n", l.n)
		}
	}
	_, err := fmt.Fprintln(s, "A test plays it with aitest.Cassette.")
	return err
}
