package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

func (a *app) logsCommand() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Print what the steps of a run logged",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				logs, err := e.Logs(ctx, id, from)
				if err != nil {
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, map[string][]durable.LogEntry{"logs": logs})
				}
				return writeLogs(a.screen(), logs)
			})
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "only entries since: 90m, 12h, 7d, or 2006-01-02[T15:04:05Z]")
	return a.dbFlag(cmd)
}

func writeLogs(s *term.Screen, logs []durable.LogEntry) error {
	if len(logs) == 0 {
		_, err := fmt.Fprintln(s, "No entries.")
		return err
	}
	for _, l := range logs {
		style := term.Plain
		switch {
		case l.Level >= slog.LevelError:
			style = term.Red
		case l.Level >= slog.LevelWarn:
			style = term.Yellow
		}
		_, err := fmt.Fprintln(s, s.Paint(term.Dim, l.At.Local().Format("15:04:05.000")), s.Paint(style, fmt.Sprintf("%-5s", l.Level)),
			term.Line(fmt.Sprintf("%s#%d", l.Path, l.Attempt)), term.Line(l.Text), term.Line(attrs(l.Attrs)))
		if err != nil {
			return err
		}
	}
	return nil
}

// attrs writes an object as name=value, sorted.
func attrs(raw json.RawMessage) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return ""
	}
	var list []string
	for k, v := range m {
		list = append(list, k+"="+string(v))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
