// Package durable runs workflows that survive crashes, deploys and weeks of
// waiting.
//
// A workflow is plain Go functions and a declaration of how they follow each
// other:
//
//	var Greet = durable.Define("greet",
//		durable.Step("compose", compose).Retry(durable.Retry{MaxAttempts: 3}),
//		durable.Branch("by_language", func(g *Greeting) string { return g.Language }).
//			Case("de", durable.Step("translate", translate).Queue("ai")),
//		durable.Step("send", send),
//	)
//
// A step is a function func(ctx context.Context, s *S) error: it changes the
// state, or fails. After every step the change of the state is stored; when
// the process dies, another goes on at the step where it was. A step's body
// runs at least once; its result is recorded exactly once.
//
// Beside steps there are nodes that say in which order they run: Sequence,
// Branch, Loop and Decision; lanes side by side with Parallel; the same for every item of
// a list with Each; and nodes that wait: Pause, Event, Input, and Child for another
// workflow. All nest in all. A step can have a function that undoes it, should the run
// fail (StepNode.Compensate).
//
// An Engine executes workflows over a store: one SQLite file without a server
// (package store/sqlite), a PostgreSQL (package store/postgres), or memory for
// tests (package store/memory).
//
//	engine, err := durable.Open(ctx, sqlite.Open("durable.db"), durable.Config{
//		Workflows: []durable.Definition{Greet},
//	})
//	go engine.Run(ctx)
//	run, err := Greet.Start(ctx, engine, Greeting{Name: "Ada"})
//	greeting, err := run.Wait(ctx)
//
// Inside a step, durable calls (Do, Sleep, WaitForEvent, WaitForInput …) are
// recorded: when the body runs again, the recorded result is returned instead
// of doing it again. A call that must wait ends the body's goroutine; when the
// wait is over, the body runs again from its top.
package durable
