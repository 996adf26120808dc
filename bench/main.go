// Command bench runs the same workloads on this engine over PostgreSQL and
// SQLite, on River and DBOS over the same PostgreSQL, and on the raw databases,
// alternating within one run, and prints medians beside what the project asks
// of them.
//
//	go run . [flags] [workload …]
//
// It listens nowhere, works in a database and a folder of its own, deletes
// both when it ends or is interrupted, and stops by itself. It is no test:
// nothing fails because a number is small.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// A server has a heap of its own to collect; these processes have next to
		// none, and would collect garbage all the time. All engines get the same.
		debug.SetGCPercent(400)
	}
	if spec := os.Getenv(workerVariable); spec != "" {
		os.Exit(work(spec))
	}
	var b bench
	var asJSON bool
	var document string
	flag.BoolVar(&b.quick, "quick", false, "a smoke run of less than two minutes, not a measurement")
	flag.IntVar(&b.rounds, "rounds", 0, "how often each measurement is repeated (default 5, with -quick 1)")
	flag.IntVar(&b.crowd, "crowd", 0, "how many finished or sleeping runs to measure beside (default 1,000,000, with -quick 20,000)")
	flag.StringVar(&b.folder, "dir", "", "where SQLite's files go; it must be on the disk to be measured (default: the system's temporary folder)")
	flag.StringVar(&b.url, "postgres", os.Getenv("DURABLE_BENCH_POSTGRES_URL"), "a PostgreSQL `URL` whose user may create databases (default: $DURABLE_BENCH_POSTGRES_URL, else 127.0.0.1:5432, else what ../scripts/postgres starts)")
	flag.BoolVar(&asJSON, "json", false, "print JSON instead of tables")
	flag.StringVar(&document, "write", "", "put the results into benchmarks.md, benchmarks.json and the plots of this `folder`, beside what is there of other workloads")
	flag.StringVar(&b.profile, "cpuprofile", "", "write a CPU profile of this process to this `file`")
	flag.Usage = usage
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	report, err := b.run(ctx, flag.Args())
	if asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		if e := out.Encode(report); err == nil {
			err = e
		}
	}
	if err == nil && document != "" {
		err = report.write(document)
	}
	if err == nil && !asJSON {
		report.print(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	out := flag.CommandLine.Output()
	fmt.Fprintf(out, "usage: go run . [flags] [workload …]\n\nWorkloads, all of them unless some are named:\n")
	for _, w := range workloads() {
		fmt.Fprintf(out, "  %-11s %s\n", w.name, w.title)
	}
	fmt.Fprintf(out, "\nFlags:\n")
	flag.PrintDefaults()
}

// bench is one run of the command.
type bench struct {
	quick   bool
	rounds  int
	crowd   int
	folder  string
	url     string
	profile string

	pg      *server
	machine machine
	began   time.Time
}

// run measures the named workloads, or all.
func (b *bench) run(ctx context.Context, names []string) (_ *report, err error) {
	r := &report{}
	all := workloads()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(w workload) bool { return w.name == name }) {
			return r, fmt.Errorf("there is no workload %q; there are %s", name, strings.Join(workloadNames(), ", "))
		}
	}
	if b.rounds == 0 {
		b.rounds = pick(b.quick, 1, 5)
	}
	if b.crowd == 0 {
		b.crowd = pick(b.quick, 20_000, 1_000_000)
	}
	b.began = time.Now()
	stop, err := startProfile(b.profile)
	if err != nil {
		return r, err
	}
	defer stop()
	if b.pg, err = openServer(ctx, b.url); err != nil {
		return r, err
	}
	defer func() { err = joinEnd(ctx, err, b.pg.close()) }()
	if b.folder, err = ownFolder(b.folder); err != nil {
		return r, err
	}
	defer os.RemoveAll(b.folder)
	if b.machine, err = describe(ctx, b.pg); err != nil {
		return r, err
	}
	for _, w := range all {
		if len(names) > 0 && !slices.Contains(names, w.name) {
			continue
		}
		s := &section{Name: w.name, Title: w.title, At: time.Now().UTC().Truncate(time.Second), Quick: b.quick, Rounds: b.rounds, Machine: b.machine}
		b.say("%s", w.name)
		if others, err := b.pg.others(ctx); err != nil {
			return r, err
		} else if others > 0 {
			s.note("The server was not alone: %d connections of others were busy on it at the start.", others)
		}
		if err := w.run(ctx, b, s); err != nil {
			return r, fmt.Errorf("%s: %w", w.name, err)
		}
		s.Took = time.Since(s.At).Round(time.Second).Seconds()
		r.Sections = append(r.Sections, s)
	}
	return r, nil
}

// say tells on the standard error what goes on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// round repeats what is measured, and says how far it is. Within a round the
// competitors take turns; every second round takes them in reverse order, so
// that a slow drift of the machine favours none.
func (b *bench) round(ctx context.Context, competitors ...func(ctx context.Context) error) error {
	for i := range b.rounds {
		b.say("  round %d of %d", i+1, b.rounds)
		order := slices.Clone(competitors)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, one := range order {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := one(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// window is how long a rate is measured, after a warm-up of a quarter of it.
func (b *bench) window() time.Duration { return pick(b.quick, 600*time.Millisecond, 3*time.Second) }

// file is a folder of its own for a database file.
func (b *bench) file(fn func(dir string) error) error {
	dir, err := os.MkdirTemp(b.folder, "file-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return fn(dir)
}

// ownFolder makes a folder of this process's own, and deletes those of earlier
// runs that were killed.
func ownFolder(parent string) (string, error) {
	const prefix = "durable-bench-"
	if parent == "" {
		parent = os.TempDir()
	}
	old, err := filepath.Glob(filepath.Join(parent, prefix+"*-*"))
	if err != nil {
		return "", err
	}
	for _, folder := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), prefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			if err := os.RemoveAll(folder); err != nil {
				return "", err
			}
		}
	}
	return os.MkdirTemp(parent, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
}

func pick[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}
