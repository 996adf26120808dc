// Package crash kills, stops and starves real worker processes at labelled
// places and at random, and checks afterwards that nothing was lost, doubled
// or made up. It is tests only, built with the tag fail:
//
//	make crash            # go test -tags=fail ./internal/crash/...
//	make crash CYCLES=200 # so many random kills of the document pipeline
//
// A test runs its own binary again as the worker process, on a SQLite file of
// its own, and speaks to it over its standard input and output: it starts
// runs, sends events, answers questions and notes what was acknowledged. The
// bodies of all steps write what they do to a ledger, an append-only file that
// no worker reads back into its decisions, except to reconcile. When all is
// done the oracles compare acknowledgements, ledger, journals and the header
// rows; see oracle_test.go. That they can fail is shown by planted bugs.
//
// Every random choice follows from a printed seed; CRASH_SEED repeats it. The
// choices are the same then, the interleaving of processes is not.
package crash
