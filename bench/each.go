package main

import (
	"context"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// pages is the state of runs with items.
type pages struct {
	N    int `json:"n"`
	Sums int `json:"sums"`
}

// page is an item.
type page struct {
	N int `json:"n"`
}

// each is what an item of an Each costs, and whether it costs more among many.
func each(ctx context.Context, b *bench, s *section) error {
	few, many := pick(b.quick, 50, 100), pick(b.quick, 300, 1000)
	w := durable.Define("each",
		durable.Each("pages", func(p *pages) []page { return make([]page, p.N) },
			durable.Step("one", func(_ context.Context, p *page) error { p.N++; return nil })).
			Concurrency(100).
			Into(func(p *pages, list []page) {
				for _, one := range list {
					p.Sums += one.N
				}
			}))
	measure := func(where place, small, large, ratio, cost *metric) func(context.Context) error {
		return func(ctx context.Context) error {
			return where(ctx, func(o store.Opener) error {
				return withEngine(o, 100, func(e *durable.Engine) error {
					var took, cpu [2]float64
					for i, n := range []int{few, many} {
						repeat := max(1, many/n) // as many items in all
						began, before := time.Now(), cpuTime()
						for range repeat {
							r, err := w.Start(ctx, e, pages{N: n})
							if err != nil {
								return err
							}
							if _, err := r.Wait(ctx); err != nil {
								return err
							}
						}
						took[i] = 1000 * time.Since(began).Seconds() / float64(n*repeat)
						cpu[i] = (cpuTime() - before).Seconds() / float64(n*repeat)
					}
					small.add(took[0])
					large.add(took[1])
					ratio.add(100 * took[1] / took[0])
					cost.add(100 * cpu[1] / cpu[0])
					return nil
				}, w)
			})
		}
	}
	metrics := func(id, name string) (small, large, ratio, cost *metric) {
		return s.metric("few"+id, name+", for each of "+thousands(int64(few))+" items, 100 at a time", "ms"),
			s.metric("many"+id, "for each of "+thousands(int64(many)), "ms"),
			s.metric("ratio"+id, "of that of few", "%").must(atMost(120)),
			s.metric("cpu"+id, "the same of the CPU of this process", "%")
	}
	a1, a2, a3, a4 := metrics("", "engine on PostgreSQL")
	b1, b2, b3, b4 := metrics(".sqlite", "engine on SQLite")
	return b.round(ctx, measure(b.onPostgres, a1, a2, a3, a4), measure(b.onSQLite, b1, b2, b3, b4))
}

// passes is what a pass of a loop costs in which the run waits, at its begin and at
// its end.
func passes(ctx context.Context, b *bench, s *section) error {
	n := pick(b.quick, 500, 5000)
	measure := func(where place, first, last, ratio *metric) func(context.Context) error {
		return func(ctx context.Context) error {
			ends := make([]time.Time, 0, n)
			w := durable.Define("passes", durable.Loop("l", func(p *pages) bool { return p.N < n },
				durable.Step("wait", func(ctx context.Context, p *pages) error {
					if err := durable.Sleep(ctx, time.Millisecond); err != nil {
						return err
					}
					p.N++
					ends = append(ends, time.Now())
					return nil
				})).Max(n))
			return where(ctx, func(o store.Opener) error {
				return withEngine(o, 1, func(e *durable.Engine) error {
					r, err := w.Start(ctx, e, pages{})
					if err != nil {
						return err
					}
					if _, err := r.Wait(ctx); err != nil {
						return err
					}
					tenth := len(ends) / 10
					per := func(part []time.Time) float64 {
						return 1000 * part[len(part)-1].Sub(part[0]).Seconds() / float64(len(part)-1)
					}
					a, z := per(ends[:tenth]), per(ends[len(ends)-tenth:])
					first.add(a)
					last.add(z)
					ratio.add(100 * z / a)
					return nil
				}, w)
			})
		}
	}
	metrics := func(id, name string) (first, last, ratio *metric) {
		return s.metric("first"+id, name+", a pass that sleeps for a millisecond, the first tenth of "+thousands(int64(n)), "ms"),
			s.metric("last"+id, "the last tenth", "ms"),
			s.metric("ratio"+id, "of the first", "%").must(atMost(120))
	}
	a1, a2, a3 := metrics("", "engine on PostgreSQL")
	b1, b2, b3 := metrics(".sqlite", "engine on SQLite")
	return b.round(ctx, measure(b.onPostgres, a1, a2, a3), measure(b.onSQLite, b1, b2, b3))
}
