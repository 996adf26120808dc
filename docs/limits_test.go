package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/limits.md and the code say the same. Who changes a limit is told here.
func TestLimitsAreThoseOfTheCode(t *testing.T) {
	page := read(t, "limits.md")
	for _, l := range []struct{ file, name, value, row string }{
		{"config.go", "maxPayload", "16 << 20", "| payload: input, state, event, answer, result (`Config.MaxPayload`) | 16 MiB of JSON | 1 MiB |"},
		{"config.go", "defaultPayload", "1 << 20", "| payload: input, state, event, answer, result (`Config.MaxPayload`) | 16 MiB of JSON | 1 MiB |"},
		{"codec.go", "maxDepth", "64", "| nesting of a payload | 64 |"},
		{"config.go", "maxFacts", "10_000", "| live facts of a run | 10,000 |"},
		{"config.go", "maxInbox", "1000", "| messages that no wait has taken, per run | 1,000 |"},
		{"notice.go", "maxNotices", "32", "| reminders and escalations of a wait | 32, each within 100 years |"},
		{"notice.go", "maxNotice", "100 * 365 * 24 * time.Hour", "| reminders and escalations of a wait | 32, each within 100 years |"},
		{"internal/journal/wait.go", "maxNotes", "50", "| notes of an open wait that are kept with it | 50 |"},
		{"choice.go", "maxChoices", "1000", "| choices of a question | 1,000 |"},
		{"internal/schema/form.go", "maxFields", "200", "| fields of a form | 200 |"},
		{"gather.go", "maxEvents", "100", "| events of one wait (`WaitForAny`, `WaitForAll`) | 100 |"},
		{"publish.go", "leastKeep", "time.Minute", "| how long a published event is kept and its id known (`Keep`) | 1 min to 366 days | 24 h |"},
		{"publish.go", "mostKeep", "366 * 24 * time.Hour", "| how long a published event is kept and its id known (`Keep`) | 1 min to 366 days | 24 h |"},
		{"publish.go", "defaultKeep", "24 * time.Hour", "| how long a published event is kept and its id known (`Keep`) | 1 min to 366 days | 24 h |"},
		{"store/publish.go", "SweepPublications", "20", "| published events that are out of date, removed with each `Publish` | 20 |"},
		{"internal/tree/node.go", "MaxName", "200", "| name of a node or workflow | 200 bytes"},
		{"config.go", "maxTags", "32", "| tags of a run | 32 |"},
		{"config.go", "maxPriority", "1000", "| priority | -1,000 to 1,000 |"},
		{"internal/tree/node.go", "MaxNesting", "32", "| nesting of nodes | 32 |"},
		{"internal/tree/node.go", "DefaultLoopMax", "1000", "| passes of a loop (`Loop.Max`) | as given | 1,000 |"},
		{"internal/tree/node.go", "MaxSpread", "100_000", "| items of an `Each`, spread | 100,000, of 64 MiB together |"},
		{"spread.go", "listBytes", "64 << 20", "| items of an `Each`, spread | 100,000, of 64 MiB together |"},
		{"internal/tree/node.go", "SpreadAhead", "1000", "| spread items that have begun and not ended (`Concurrency`) | 10,000 | 1,000 |"},
		{"internal/tree/node.go", "MaxSpreadAhead", "10_000", "| spread items that have begun and not ended (`Concurrency`) | 10,000 | 1,000 |"},
		{"internal/plan/spread.go", "spreadAtOnce", "1000", "| spread items that begin with one write | 1,000, about 4 MiB |"},
		{"spread.go", "beginBytes", "4 << 20", "| spread items that begin with one write | 1,000, about 4 MiB |"},
		{"internal/run/spread.go", "gather", "20 * time.Millisecond", "| how long a run gathers ends of its spread items, each time | 20 ms |"},
		{"internal/tree/node.go", "MaxJumps", "1000", "| jumps back by `Goto`, in one visit of a sequence | 1,000 |"},
		{"internal/tree/node.go", "MaxItems", "1000", "| items of an `Each` | 1,000 |"},
		{"step.go", "maxLimit", "64 << 20", "| list of an `Each` | 64 MiB of JSON"},
		{"blob.go", "maxBlob", "16 << 20", "| a blob (`Blob`) | 16 MiB |"},
		{"blob.go", "maxBlobs", "64 << 20", "| blobs that go with one record | 64 MiB together |"},
		{"internal/run/keep.go", "maxKept", "1 << 15", "| hashes of blobs that a worker knows to be stored | 65,536 |"},
		{"all.go", "allAtOnce", "16", "| functions of one `All` at once | 16 |"},
		{"child.go", "maxChildDepth", "32", "| children of children | 32 deep |"},
		{"internal/tree/retry.go", "DefaultMax", "30 * time.Second", "| pause before a retry (`Retry.Max`) | as given | 30 s"},
		{"internal/tree/retry.go", "DefaultUndos", "5", "| attempts of a compensation (`Step.Compensate`) | as given | 5 |"},
		{"internal/plan/judge.go", "CrashLimit", "5", "| crashes in a row in one step | 5 |"},
		{"internal/run/worker.go", "stallLimit", "5", "| workers that die with a run before anything is recorded | 5 in a row |"},
		{"store/blocked.go", "maxBlocked", "16", "| kinds of code that a blocked run remembers | 16 |"},
		{"internal/plan/step.go", "maxAskings", "5", "| questions to `Reconcile` | 5 errors |"},
		{"ai/agent.go", "maxTurns", "1000", "| turns of an agent for one prompt (`Agent.MaxTurns`) | 1,000 | 10 |"},
		{"ai/agent.go", "defaultTurns", "10", "| turns of an agent for one prompt (`Agent.MaxTurns`) | 1,000 | 10 |"},
		{"ai/agent.go", "maxPauses", "3", "| pauses of a model in a row that an agent goes along with | 3 |"},
		{"ai/tool.go", "maxArgs", "1 << 20", "| arguments that a model gives to a tool | 1 MiB, 64 levels |"},
		{"ai/tool.go", "maxDepth", "64", "| arguments that a model gives to a tool | 1 MiB, 64 levels |"},
		{"ai/tool.go", "maxApproved", "64 << 10", "| arguments that a person is asked about | 64 KiB |"},
		{"ai/tool.go", "maxOutput", "1 << 20", "| result of a tool (`MaxOutput`) | 1 MiB | 64 KiB |"},
		{"ai/tool.go", "defaultOutput", "64 << 10", "| result of a tool (`MaxOutput`) | 1 MiB | 64 KiB |"},
		{"ai/toolrun.go", "togetherAtOnce", "8", "| plain tools of one turn at once | 8 |"},
		{"ai/approve.go", "maxAgain", "10", "| answers to an approval in a row that do not fit, where nothing checks them before | 10 |"},
		{"ai/doubt.go", "maxReconciles", "5", "| questions to the `Reconcile` of a tool | 5 errors |"},
		{"internal/tree/node.go", "DefaultTimeout", "10 * time.Minute", "| one run of a body (`Step.Timeout`) | as given, or none | 10 min |"},
		{"internal/run/tx.go", "TxLimit", "5 * time.Second", "| a step's transaction (`Tx`), from its begin to its commit | 5 s |"},
		{"tx.go", "txTries", "8", "| times that a body runs while other transactions are in the way of its `Tx` | 8 |"},
		{"config.go", "defaultConcurrency", "10", "| slots of a queue (`Queue.Concurrency`) | as given | 10 |"},
		{"config.go", "maxRate", "100_000", "| starts of bodies over all processes (`Queue.Rate`) | 100,000 in at least 1 ms, or none | none |"},
		{"config.go", "minRateSpan", "time.Millisecond", "| starts of bodies over all processes (`Queue.Rate`) | 100,000 in at least 1 ms, or none | none |"},
		{"internal/run/limit.go", "maxRefusalRest", "100 * time.Millisecond", "before it asks for that queue again | 100 ms |"},
		{"config.go", "minLease", "500 * time.Millisecond", "| lease (`Config.Lease`) | at least 500 ms | 10 s |"},
		{"config.go", "defaultLease", "10 * time.Second", "| lease (`Config.Lease`) | at least 500 ms | 10 s |"},
		{"config.go", "defaultPoll", "time.Second", "| poll of a queue (`Queue.PollInterval`) | as given | 1 s |"},
		{"config.go", "defaultGrace", "30 * time.Second", "| grace when stopping (`Config.ShutdownGrace`) | as given | 30 s |"},
		{"config.go", "defaultHung", "10 * time.Minute", "| a body that goes on after its context has ended (`Config.HungAfter`) | as given | 10 min |"},
		{"internal/run/hung.go", "hungReport", "10 * time.Second", "| a body that goes on after its context has ended"},
		{"internal/run/hung.go", "hungListed", "50", "| hung bodies that a worker names (`Engine.Hung`) | 50 |"},
		{"internal/run/worker.go", "abandonAfter", "2 * time.Second", "2 s later runs are handed over |"},
		{"internal/run/runner.go", "storeTimeout", "30 * time.Second", "| a call of the store | 10 s for a claim or a look, 30 s for a takeover |"},
		{"internal/run/commit.go", "minPatience", "10 * time.Second", "| a commit | 10 s, longer after each failure, up to 60 s |"},
		{"internal/run/commit.go", "maxPatience", "time.Minute", "| a commit | 10 s, longer after each failure, up to 60 s |"},
		{"internal/run/commit.go", "maxRetryPause", "time.Second", "| pause before a commit or claim is tried again | 1 s |"},
		{"internal/run/commit.go", "maxBatchWrites", "512", "| writes of a commit | 512, about 4 MiB |"},
		{"internal/run/commit.go", "maxBatchBytes", "4 << 20", "| writes of a commit | 512, about 4 MiB |"},
		{"internal/run/worker.go", "holdForAnswer", "50 * time.Millisecond", "| answer of a branch or loop that a commit waits for | 50 ms |"},
		{"log.go", "maxLogEntries", "1000", "| log entries of an attempt | 1,000, of 10,000 bytes each |"},
		{"log.go", "maxLogBytes", "10000", "| log entries of an attempt | 1,000, of 10,000 bytes each |"},
		{"failure.go", "maxErrorText", "64 << 10", "| text of an error | 64 KiB; 32 wrapped errors"},
		{"failure.go", "maxChain", "32", "| text of an error | 64 KiB; 32 wrapped errors"},
		{"start.go", "startsAtOnce", "512", "| starts on their way in `StartMany` | 512 |"},
		{"store/prune.go", "MaxPrune", "1000", "| runs removed in one transaction | 1,000; SQLite: those of 10 ms |"},
		{"store/sqlite/prune.go", "pruneFor", "10 * time.Millisecond", "| runs removed in one transaction | 1,000; SQLite: those of 10 ms |"},
		{"retention.go", "pruneOften", "time.Second", "| looks for runs to remove | every second to every 10 min |"},
		{"retention.go", "pruneRarely", "10 * time.Minute", "| looks for runs to remove | every second to every 10 min |"},
		{"store/postgres/part.go", "defaultWidth", "30 * 24 * time.Hour", "| width of a PostgreSQL partition (`postgres.Partition`) | at least 1 h | 30 days |"},
		{"store/postgres/part.go", "smallestWidth", "time.Hour", "| width of a PostgreSQL partition (`postgres.Partition`) | at least 1 h | 30 days |"},
		{"store/postgres/part.go", "partPatience", "50 * time.Millisecond", "| how long PostgreSQL's tables are waited for to change partitions | 50 ms |"},
		{"internal/journal/snapshot.go", "SnapshotEvery", "256", "| rows between two snapshots | 256 |"},
		{"store/sqlite/open.go", "busyTimeout", "5 * time.Second", "| patience with another process's SQLite transaction | 5 s |"},
	} {
		assigned := regexp.MustCompile(`(?m)^\s*(?:const )?` + l.name + `\s*=\s*` + regexp.QuoteMeta(l.value) + `(\s|$)`)
		if !assigned.MatchString(read(t, filepath.Join(root, l.file))) {
			t.Errorf("%s: %s is not %s any more; see docs/limits.md", l.file, l.name, l.value)
		}
		if !strings.Contains(page, l.row) {
			t.Errorf("docs/limits.md: there is no row that begins with %q", l.row)
		}
	}
}
