package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// aiServe are the flags of "ai serve".
type aiServe struct {
	host   string
	port   int
	public bool
	chaos  bool
	seed   uint64
	quiet  bool
	opts   aitest.Options
}

func (a *app) aiServeCommand() *cobra.Command {
	var s aiServe
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Speak like Anthropic, OpenAI, Gemini and Ollama, without a key",
		Long: "It speaks the wires of Anthropic (Messages), OpenAI (Responses, Chat Completions), Gemini and Ollama over\n" +
			"HTTP, streamed and whole. What answers is offline:" + offline.Documents + ": " + offline.Badge + ".\n" +
			"It classifies and extracts, and refuses everything else. Every name of a model means it.\n\n" +
			"With --chaos, answers are late, cut, limited, overloaded and wrong, the same way for the same --seed.\n" +
			"GET /ledger tells what was asked, what was paid, and what was paid twice.\n\n" +
			"It listens on this machine only. Stop it with Ctrl-C; then it says what its answers came to.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("seed") && !s.chaos {
				return usage("--seed goes with --chaos")
			}
			return a.aiServe(cmd, s)
		},
	}
	f := cmd.Flags()
	f.IntVar(&s.port, "port", 8089, "port to listen on; 0 takes a free one")
	f.StringVar(&s.host, "host", "127.0.0.1", "`ADDRESS` to listen on")
	f.BoolVar(&s.public, "public", false, "allow a --host that other machines can reach")
	f.BoolVar(&s.chaos, "chaos", false, "let requests fail, in all the ways in which they do")
	f.Uint64Var(&s.seed, "seed", 1, "chaos: decides which requests fail, and how")
	f.BoolVar(&s.quiet, "quiet", false, "print no line for each request")
	f.StringVar(&s.opts.Key, "key", "", "accept only this `KEY`; without it any key will do, or none")
	f.StringSliceVar(&s.opts.Models, "models", nil, "only these `NAMES` are models; others are 404")
	f.StringSliceVar(&s.opts.Retired, "retired", nil, "these `NAMES` are models no more: 404")
	f.DurationVar(&s.opts.First, "first", 0, "time until the first byte of an answer")
	f.DurationVar(&s.opts.Delay, "delay", 0, "time between the pieces of an answer")
	f.Int64Var(&s.opts.Limit.Requests, "requests", 0, "requests a minute for each key; 0 is no limit")
	f.Int64Var(&s.opts.Limit.Tokens, "tokens", 0, "tokens of input a minute for each key; 0 is no limit")
	return cmd
}

// check says what makes no sense in the flags.
func (s *aiServe) check() error {
	ip := net.ParseIP(s.host)
	switch {
	case s.port < 0 || s.port > 65535:
		return usage("--port is %d; give 0 to 65535", s.port)
	case ip == nil && s.host != "localhost":
		return usage("--host is %q; give an IP address", s.host)
	case s.opts.First < 0 || s.opts.Delay < 0:
		return usage("--first and --delay are zero or more")
	case s.opts.Limit.Requests < 0 || s.opts.Limit.Tokens < 0:
		return usage("--requests and --tokens are zero or more")
	case ip != nil && !ip.IsLoopback() && !s.public:
		return usage("%s can be reached from other machines, and anybody there could ask; say --public if that is meant", s.host)
	}
	return nil
}

func (a *app) aiServe(cmd *cobra.Command, s aiServe) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.chaos {
		c := aitest.Weather(s.seed)
		s.opts.Chaos = &c
	}
	p := &aiPrinter{app: a, screen: a.screen()}
	if !s.quiet {
		s.opts.Seen = p.call
	}
	var lc net.ListenConfig
	l, err := lc.Listen(cmd.Context(), "tcp", net.JoinHostPort(s.host, strconv.Itoa(s.port)))
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	srv, err := aitest.Serve(l, offline.New(), s.opts)
	if err != nil {
		_ = l.Close()
		return err
	}
	if err := p.begin(srv, s); err != nil {
		_ = srv.Close()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Wait() }()
	select {
	case err = <-ended:
	case <-cmd.Context().Done():
	}
	err = errors.Join(err, srv.Close())
	return errors.Join(err, p.end(srv.Ledger()))
}

// aiPrinter prints what a server does, for people or for programs.
type aiPrinter struct {
	app    *app
	screen *term.Screen
	mu     sync.Mutex
}

func (p *aiPrinter) begin(srv *aitest.Server, s aiServe) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.app.json {
		return term.WriteJSON(p.screen, map[string]any{"url": srv.URL, "env": srv.Env(), "model": offline.Documents, "badge": offline.Badge, "chaos": s.chaos, "seed": s.seed})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "A stand-in for models listens at %s\n", srv.URL)
	fmt.Fprintf(&b, "What answers is offline:%s: %s.\n", offline.Documents, offline.Badge)
	if s.chaos {
		fmt.Fprintf(&b, "Requests fail by chance, with seed %d.\n", s.seed)
	}
	b.WriteString("\nTo point a program at it:\n\n")
	for _, line := range srv.Env() {
		fmt.Fprintf(&b, "  export %s\n", line)
	}
	fmt.Fprintf(&b, "\nand a model of any name, such as AI_MODEL_SMART=anthropic:fake-1. The ledger: %s/ledger\n", srv.URL)
	b.WriteString("Ctrl-C ends it.\n\n")
	_, err := fmt.Fprint(p.screen, b.String())
	return err
}

// call prints a request. What clients send is hostile, so it goes through term.
func (p *aiPrinter) call(c aitest.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.app.json {
		_ = term.WriteJSON(p.screen, c)
		return
	}
	what := "not paid"
	if c.Paid {
		what = fmt.Sprintf("%d tokens in, %d out", c.Usage.Input, c.Usage.Output)
		if !c.Delivered {
			what += ", did not arrive"
		}
	}
	if c.Fault != "" {
		what += " (" + c.Fault + ")"
	}
	status := strconv.Itoa(c.Status)
	if c.Status == 0 {
		status = "---"
	}
	name := term.Line(c.Model)
	if name == "" {
		name = "-"
	}
	fmt.Fprintf(p.screen, "%s  %s  %-11s  %s  %s\n", c.At.Format(time.TimeOnly), status, c.Wire, term.Pad(term.Cut(name, 28), 28), what)
}

func (p *aiPrinter) end(l aitest.Ledger) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.app.json {
		return term.WriteJSON(p.screen, map[string]any{"ledger": l})
	}
	_, err := fmt.Fprintf(
		p.screen, "\n%d requests, %d answers generated (%d tokens in, %d out, estimated), %d of them arrived.\nQuestions answered more than once: %d. Paid again because an answer did not arrive: %d.\n"+
			"Nothing was charged: no model was asked. A provider would have charged for %d tokens.\n",
		l.Requests, l.Paid, l.Usage.Input, l.Usage.Output, l.Delivered, len(l.Twice), len(l.Again), l.Usage.Total(),
	)
	return err
}
