// Package storetest is the conformance suite of package store: about a hundred
// named clauses that every store must pass, and a driver that compares two
// stores operation by operation.
//
// A store's test calls Run with a function that makes an empty store:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Harness {
//			return storetest.Harness{Opener: mystore.New(t.TempDir())}
//		})
//	}
//
// Each clause gets a store of its own. A failure names the guarantees that the
// clause stands for, by their numbers in docs and tests (G1…, QU-5 …). After
// each clause the whole store is audited: whatever the clause did, no
// execution may be left in a state that cannot be.
//
// The suite knows the contract only. It looks into no database, injects no
// fault and promises nothing about speed.
package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/store"
)

// Harness is one empty store and what the suite may do to it.
type Harness struct {
	// Opener opens the store. It is called several times: handles that are
	// open at once see the same data, and so does one that is opened after all
	// others were closed, which is how the suite restarts a store.
	Opener store.Opener

	// Advance moves the store's clock forward. Nil means that the clock is the
	// real one: the suite then waits, at most a few milliseconds per clause.
	Advance func(d time.Duration)

	// Users opens the database as its users do, who have a table there. Nil
	// means that the store has no transactions that users can share.
	Users func(tb testing.TB) Users

	// Bodies is how many bodies of blobs the store keeps, each worth sharing: more than 1 KiB. A store
	// that keeps one for each period of time counts all. Nil means that it is not looked at.
	Bodies func(tb testing.TB) int
}

// Run runs every clause as a subtest of its own, each on a fresh harness.
func Run(t *testing.T, fresh func(t *testing.T) Harness) {
	t.Helper()
	RunOnly(t, "", fresh)
}

// RunOnly runs those clauses whose names begin with prefix.
func RunOnly(t *testing.T, prefix string, fresh func(t *testing.T) Harness) {
	t.Helper()
	for _, c := range clauses() {
		if strings.HasPrefix(c.name, prefix) {
			t.Run(c.name, func(t *testing.T) {
				c.on(t, fresh(t))
			})
		}
	}
}

// clause is one sentence of the contract that can be seen to hold or not.
type clause struct {
	name   string
	guards string // the guarantees that break with it
	run    func(e *env)
}

// on runs the clause and then audits the store.
func (c clause) on(tb testing.TB, h Harness) {
	e := newEnv(tb, h, c)
	c.run(e)
	e.audit()
}

// clauses lists the suite. The order is that of the contract.
func clauses() []clause {
	return slices.Concat(
		beginClauses(),
		advanceClauses(),
		releaseClauses(),
		deliverClauses(),
		controlClauses(),
		claimClauses(),
		leaseClauses(),
		batchClauses(),
		holdClauses(),
		tokenClauses(),
		drawClauses(),
		pauseClauses(),
		recordClauses(),
		streamClauses(),
		listClauses(),
		waitClauses(),
		pruneClauses(),
		blobClauses(),
		familyClauses(),
		recallClauses(),
		lifeClauses(),
		outsideClauses(),
		guestClauses(),
		publishClauses(),
		raceClauses(),
		familyRaceClauses(),
	)
}
