// Package faults tries the engine on a PostgreSQL that suffers: restarted
// servers, terminated sessions, commits cut before and after they arrive,
// errors, timeouts, full disks, lost notifications, poolers.
//
// It has only tests. Their oracle is a ledger of what bodies did, held against
// the journals and the engine's own sums: nothing that was acknowledged is
// lost, no attempt is used up, every body beyond the plan has a counted reason.
//
// FAULTS=full runs the amounts that a release must pass.
package faults
