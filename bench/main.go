// Command bench measures the engine against the raw store, side by side in one
// run, and prints medians with their range. It listens nowhere, works in a
// temporary folder and stops by itself.
//
//	go run . [-quick] [-dir FOLDER] [workload …]
//
// The workloads are throughput, latency, growth and parked; without a name all
// run.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
)

func main() {
	quick := flag.Bool("quick", false, "a tenth of the work and 3 rounds: a smoke test, not a measurement")
	parent := flag.String("dir", "", "where the databases go; it must be on the disk to be measured (default: the system's temporary folder)")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	b := bench{rounds: 5, scale: 1}
	if *quick {
		b = bench{rounds: 3, scale: 10}
	}
	if err := b.run(*parent, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	rounds int
	scale  int
	parent string
}

func (b *bench) run(parent string, names []string) error {
	b.parent = parent
	fmt.Printf("%s, %d CPUs, %s/%s, median of %d (min–max), SQLite with synchronous=FULL\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, b.rounds)
	for _, w := range []struct {
		name string
		fn   func() error
	}{
		{"throughput", b.throughput}, {"latency", b.latency}, {"growth", b.growth}, {"parked", b.parked},
	} {
		if len(names) > 0 && !slices.Contains(names, w.name) {
			continue
		}
		if err := w.fn(); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Println()
	}
	return nil
}

// dir runs fn in a folder of its own.
func (b *bench) dir(fn func(dir string) error) error {
	dir, err := os.MkdirTemp(b.parent, "durable-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return fn(dir)
}

func line(name, unit string, s spread) {
	fmt.Printf("  %-58s %12s  (%s–%s) %s\n", name, figure(s.median), figure(s.min), figure(s.max), unit)
}

func figure(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func (b *bench) throughput() error {
	const atOnce = 100
	var steps, cpu, raw64, raw512, share []float64
	for range b.rounds {
		err := b.dir(func(dir string) error {
			s, c, err := throughput(dir, 20_000/b.scale, atOnce)
			if err != nil {
				return err
			}
			r, err := openRaw(dir)
			if err != nil {
				return err
			}
			r64, err := r.batched(128_000/b.scale, 64)
			if err != nil {
				return err
			}
			r512, err := r.batched(256_000/b.scale, 512)
			if err != nil {
				return err
			}
			steps, cpu = append(steps, s), append(cpu, c)
			raw64, raw512 = append(raw64, r64), append(raw512, r512)
			share = append(share, s/r64)
			return r.close()
		})
		if err != nil {
			return err
		}
	}
	fmt.Println("throughput: runs of 5 steps, results of 100 bytes, 100 at a time")
	line("steps", "steps/s", spreadOf(steps))
	line("CPU, engine and SQLite together", "µs/step", spreadOf(cpu))
	line("raw: the same rows in batches of 64", "rows/s", spreadOf(raw64))
	line("raw: the same rows in batches of 512", "rows/s", spreadOf(raw512))
	line("steps as a share of raw rows in batches of 64", "", spreadOf(share))
	return nil
}

func (b *bench) latency() error {
	var one, single, over []float64
	for range b.rounds {
		err := b.dir(func(dir string) error {
			l, err := latency(dir, 1000/b.scale)
			if err != nil {
				return err
			}
			r, err := openRaw(dir)
			if err != nil {
				return err
			}
			s, err := r.single(1000 / b.scale)
			if err != nil {
				return err
			}
			ms := func(d float64) float64 { return d / 1e6 }
			one, single = append(one, ms(float64(l))), append(single, ms(float64(s)))
			over = append(over, ms(float64(l-2*s)))
			return r.close()
		})
		if err != nil {
			return err
		}
	}
	fmt.Println("latency: a run of one step, start to result, p50, one at a time")
	line("start to result", "ms", spreadOf(one))
	line("raw: one synced commit", "ms", spreadOf(single))
	line("start to result, less two synced commits (limit 1 ms)", "ms", spreadOf(over))
	return nil
}

func (b *bench) growth() error {
	var g []float64
	for range b.rounds {
		err := b.dir(func(dir string) error {
			v, err := growth(dir, 20)
			g = append(g, v)
			return err
		})
		if err != nil {
			return err
		}
	}
	fmt.Println("growth: a state of 256 KiB, ten steps that each change one small field")
	line("file growth per run as a share of the state (limit 1.3)", "", spreadOf(g))
	return nil
}

func (b *bench) parked() error {
	var few, many parkedSeries
	for range b.rounds {
		err := b.dir(func(dir string) error {
			if err := few.add(parked(dir, 1000/b.scale, 8000/b.scale)); err != nil {
				return err
			}
			return many.add(parked(dir, 100_000/b.scale, 8000/b.scale))
		})
		if err != nil {
			return err
		}
	}
	more := make([]float64, len(few.heap))
	other := make([]float64, len(few.heap))
	for i := range more {
		more[i], other[i] = many.heap[i]-few.heap[i], many.other[i]/few.other[i]
	}
	fmt.Printf("parked: %d runs that wait for an event, against %d\n", 100_000/b.scale, 1000/b.scale)
	line("live heap of the worker beside the few", "MiB", spreadOf(few.heap))
	line("more heap beside the many (limit 20)", "MiB", spreadOf(more))
	line("idle CPU beside the many (limit 0.02 of one CPU)", "", spreadOf(many.idle))
	line("other work beside the many, as a share of beside the few", "", spreadOf(other))
	return nil
}

type parkedSeries struct{ heap, idle, other []float64 }

func (p *parkedSeries) add(r parkedResult, err error) error {
	p.heap, p.idle, p.other = append(p.heap, r.heap), append(p.idle, r.idle), append(p.other, r.other)
	return err
}
