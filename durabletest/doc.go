// Package durabletest tests workflows with the real engine in virtual time.
//
// Run opens an engine over a store in memory inside a testing/synctest bubble.
// Starts, claims, leases, commits and timers take the same path as in
// production; only the clock is another: when everything waits, it jumps. A
// backoff of a minute, a sleep of a year and an approval that nobody gives for
// a week all take microseconds.
//
//	func TestReview(t *testing.T) {
//		cfg := durable.Config{Workflows: []durable.Definition{Review}}
//		durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
//			run := durabletest.Start(e, Review, Document{ID: "a"})
//			run.Settle()             // ended, or waits for somebody
//			run.Answer("approve", true)
//			doc := run.Done()        // completed: its last state
//			…
//		})
//	}
//
// A test also says what befalls the engine: Restart, Crash, CrashAfter, Deploy,
// and Join for a second worker on the same store. When the test ends, every
// engine is closed; a goroutine that is left behind fails the test, and so does
// a run that is left in a state that cannot be.
//
// In the bubble the rules of testing/synctest hold: time passes only while
// every goroutine waits for a channel, timer or condition of the bubble, so
// steps under test must not use the network, and must hold no mutex while they wait: who stands
// at a mutex stops the clock. A test that hangs for that says so on standard error after ten to twenty seconds, with the
// stack of who stands there. synctest.Wait returns when all that can happen now has happened.
package durabletest
