package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/durable-go/durable/store"
)

// What each kind of error means: refused for ever, or unknown and asked again.
func TestKind(t *testing.T) {
	for code, want := range map[string]error{
		"22021": store.ErrRefused, "22P05": store.ErrRefused, "22003": store.ErrRefused, "23514": store.ErrRefused, "23505": store.ErrRefused,
		"54000": store.ErrRefused, "54001": store.ErrRefused, "53100": store.ErrFull, "25006": store.ErrReadOnly,
		"08006": nil, "08P01": nil, "40001": nil, "40P01": nil, "42501": nil, "42P01": nil, "53200": nil, "53300": nil, "53400": nil,
		"55P03": nil, "57014": nil, "57P01": nil, "57P02": nil, "57P03": nil, "58030": nil, "XX000": nil, "": nil,
	} {
		err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code})
		if got := kind(err); got != want {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
		if raced(err) != (code == "40001" || code == "40P01") {
			t.Errorf("%s: raced %v", code, raced(err))
		}
	}
	if kind(errors.New("connection reset")) != nil {
		t.Error("a broken connection is known to be something")
	}
	for code, says := range map[string]string{
		"42501": "rights on the tables were taken away", "42P01": "the tables are gone", "3F000": "the tables are gone",
		"53300": "raise max_connections", "25006": "connect to the primary", "53100": "disk is full",
	} {
		if text := explain("commit", &pgconn.PgError{Code: code}).Error(); !strings.Contains(text, says) {
			t.Errorf("%s: %s", code, text)
		}
	}
}

// Each server that will not do is refused, and the error says what to change.
func TestRefuse(t *testing.T) {
	good := server{version: 150000, fsync: "on", pages: "on", commit: "on", readOnly: "off", encoding: "UTF8", recover: "off"}
	if err := good.refuse(); err != nil {
		t.Fatal(err)
	}
	for says, spoil := range map[string]func(s *server){
		"PostgreSQL 13, and 14 or newer is needed; upgrade": func(s *server) { s.version = 130012 },
		"fsync off":            func(s *server) { s.fsync = "off" },
		"full_page_writes off": func(s *server) { s.pages = "off" },
		"ALTER ROLE … SET synchronous_commit = on":                        func(s *server) { s.commit = "off" },
		"turn it off (ALTER ROLE":                                         func(s *server) { s.readOnly = "on" },
		"the encoding LATIN1; make one with CREATE DATABASE":              func(s *server) { s.encoding = "LATIN1" },
		"in recovery (a standby, or one that is being restored); connect": func(s *server) { s.recover = "on" },
	} {
		s := good
		spoil(&s)
		if err := s.refuse(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	// What is weaker than "on" and still flushes here is good enough.
	good.commit = "local"
	if err := good.refuse(); err != nil {
		t.Error(err)
	}
}

// Attempts to connect are paced while none succeeds, and go on at once when one does.
func TestGate(t *testing.T) {
	g := newGate(3, time.Hour)
	for range 3 {
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.enter(t.Context()); err != nil { // the first that is paced need not wait either
		t.Fatal(err)
	}
	in := make(chan error)
	go func() { in <- g.enter(t.Context()) }()
	for waits := false; !waits; {
		g.mu.Lock()
		waits = g.tries == 5
		g.mu.Unlock()
	}
	select {
	case <-in:
		t.Error("it did not wait")
	default:
	}
	g.pass()
	if err := <-in; err != nil {
		t.Error(err)
	}
	if g.passed() != 1 || g.enter(t.Context()) != nil {
		t.Error("it is not open")
	}
}
