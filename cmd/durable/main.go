// Command durable looks after a database of durable runs: it lists and shows them, answers
// what they ask people, sends events, cancels. Its demo needs nothing but this binary.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	now := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop() // in order
		<-signals
		close(now) // at once
		<-signals
		os.Exit(exitFailed)
	}()
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, now: now}
	os.Exit(a.run(ctx, os.Args[1:]))
}
