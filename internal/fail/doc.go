// Package fail marks the places in the code where a crash, a pause or an error
// would hurt most, so that tests can make it happen there:
//
//	fail.Point(fail.BodyAfter)
//	if err := fail.Err(fail.CommitBefore); err != nil { … }
//
// Without the build tag fail both are empty and cost nothing. With it, the
// environment says what happens, once and to this process only:
//
//	FAIL=commit.after=kill@3,renew.before=error@2-9
//
// is a list of label=action@hit, where hit is a number from 1 (the default), a
// range such as 2-9, or an open one such as 2-. The actions are
//
//	kill      SIGKILL to this process
//	stop      SIGSTOP to this process: somebody must send SIGCONT
//	panic     a panic
//	error     Err returns ErrInjected; not for Point
//	delay:d   a pause of d, such as delay:50ms
//
// Before an action but delay, a line "fail: label action" goes to standard
// error, so that who waits for it needs no clock. A FAIL that cannot be read
// ends the process at the first point: a test that injects nothing proves
// nothing.
//
// The package knows its labels and signals, and nothing of who calls it.
package fail
