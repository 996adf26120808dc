package durable

import (
	"fmt"
	"slices"
	"strings"
)

// takers are the calls that take options. Each option says for which it is, and each call
// refuses all others: an option that had no effect would be believed.
type takers uint32

const (
	forSendEvent takers = 1 << iota
	forPublish
	forProvideInput
	forCancel
	forRetry
	forCancelWait
	forExtendWait
	forPauseQueue
	forDrainQueue
	forStart
	forCall
	forSpawn
	forAwait
	forChild
	forSleep
	forEvent
	forAny
	forAll
	forInput
	forApproval
	forChoice
	forChoices
	forText
	forForm
	forFork
)

const (
	forEvents    = forEvent | forAny | forAll
	forQuestions = forInput | forApproval | forChoice | forChoices | forText | forForm
	forBegins    = forStart | forCall | forSpawn | forChild // a run
	forWaits     = forEvents | forQuestions | forCall | forAwait
)

func (t takers) String() string {
	var names []string
	for i, name := range []string{
		"SendEvent", "Publish", "ProvideInput", "Cancel", "Retry", "CancelWait", "ExtendWait", "PauseQueue", "DrainQueue",
		"Start", "Call", "Spawn", "Await", "the With of a Child", "Sleep",
		"WaitForEvent", "WaitForAny", "WaitForAll",
		"WaitForInput", "WaitForApproval", "WaitForChoice", "WaitForChoices", "WaitForText", "WaitForForm", "Fork",
	} {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// used is the options that a call was given, in their order.
type used struct{ options []option }

type option struct {
	name string
	is   takers
}

func (u *used) use(name string, is takers) { u.options = append(u.options, option{name, is}) }

// only refuses the options that are not for a call: all of them at once.
func (u *used) only(call takers) error {
	var bad []string
	for _, o := range u.options {
		if o.is&call == 0 {
			if text := o.name + " is for " + o.is.String(); !slices.Contains(bad, text) {
				bad = append(bad, text)
			}
		}
	}
	if bad == nil {
		return nil
	}
	return fmt.Errorf("%w: options that are not for %s: %s", ErrInvalid, call, strings.Join(bad, "; "))
}
