package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// agency is the outside: airlines, hotels and banks. Every order names a key, and the
// same key is the same order, as any good API has it. Cancelling what was never
// ordered is no mistake, so that a step in doubt can be undone.
type agency struct {
	mu     sync.Mutex
	orders map[string]string // what, by key
	said   []string
	lineUp int // so many cancels of hotels fail
}

var errLine = errors.New("the line is busy")

func (a *agency) order(key, what string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.orders[key]; known {
		return nil
	}
	if a.orders == nil {
		a.orders = make(map[string]string)
	}
	a.orders[key] = what
	a.say("ordered " + what)
	return nil
}

func (a *agency) cancel(key, what string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lineUp > 0 && strings.HasPrefix(what, "hotel") {
		a.lineUp--
		a.say("nobody answers: " + what)
		return errLine
	}
	if _, known := a.orders[key]; known {
		delete(a.orders, key)
		a.say("cancelled " + what)
	}
	return nil
}

func (a *agency) say(text string) { a.said = append(a.said, text) }

// open is what is ordered and not cancelled.
func (a *agency) open() (list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, what := range a.orders {
		list = append(list, what)
	}
	slices.Sort(list)
	return list
}

func (a *agency) told() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.said)
}

// charge takes money from a card, if there is enough.
func (a *agency) charge(key string, budget, cost int) error {
	if cost > budget {
		return fmt.Errorf("the card is declined: %d of %d", cost, budget)
	}
	return a.order(key, fmt.Sprintf("payment of %d", cost))
}
