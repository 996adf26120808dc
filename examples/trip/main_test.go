package main

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

var lisbon, tokyo = Trip{To: "Lisbon", Nights: 3, Budget: 1000}, Trip{To: "Tokyo", Nights: 10, Budget: 1000}

// In virtual time, with the worker killed after each of its commits.
func TestCO1_CO5_CO7_NothingIsLeftBooked(t *testing.T) {
	for n := 0; ; n++ {
		desk := &agency{lineUp: 3}
		w := trips(desk)
		crashed := false
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
			if n > 0 {
				e.CrashAfter(n)
			}
			r := durabletest.Start(e, w, tokyo, durable.Key("tokyo"))
			if end := r.Fails(); end.Status != durable.Compensated || end.Cause.Path != "pay" {
				t.Errorf("%+v", end)
			}
			crashed = e.Crashes() > 0
			for _, s := range r.Look().Steps {
				if s.Kind == "compensate" && s.Undoes == "pay" {
					t.Error("a payment that was declined is undone")
				}
			}
		})
		if left := desk.open(); len(left) > 0 {
			t.Errorf("killed after commit %d: %q are still booked", n, left)
		}
		if said := desk.told(); said[len(said)-1] != "cancelled flight to Tokyo" {
			t.Errorf("the flight is not the last: %q", said)
		}
		if n > 0 && !crashed {
			return
		}
	}
}

func TestCN6_ATripIsCalledOff(t *testing.T) {
	desk := &agency{}
	w := trips(desk)
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, lisbon)
		r.Settle()
		if want := []string{"car in Lisbon", "flight to Lisbon", "hotel in Lisbon", "payment of 660"}; !slices.Equal(desk.open(), want) {
			t.Errorf("booked are %q", desk.open())
		}
		if err := e.Cancel(context.Background(), r.ID, "the customer is ill", durable.AndCompensate()); err != nil {
			t.Fatal(err)
		}
		if end := r.Fails(); end.Status != durable.Compensated || len(desk.open()) > 0 {
			t.Errorf("%v, and %q are booked", end, desk.open())
		}
		other := durabletest.Start(e, w, lisbon)
		other.WillSend("tickets printed", "here")
		if got := other.Done(); !got.Paid {
			t.Errorf("%+v", got)
		}
	})
}

func TestRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "trip.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, db); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Lisbon: completed", "Tokyo: compensated", "the card is declined", "undo there[hotel]/hotel try 3: done", "undo flight "} {
		if !strings.Contains(first.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &first)
		}
	}
	if err := run(t.Context(), &second, db); err != nil { // finds what is done
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}
