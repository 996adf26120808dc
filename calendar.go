package durable

import "time"

// The helpers below give times for SleepUntil and Timeout. They are pure: the same
// arguments give the same time, so a body may call them again.
//
// All of them count in the given zone; nil is UTC. A local time that a change of clocks
// skips becomes the first instant after the gap; one that comes twice is the first.

// NextBusinessDay is that hour of the next day after t that is no Saturday or
// Sunday. It knows no holidays. An hour outside 0 to 23 is 9.
func NextBusinessDay(t time.Time, hour int, zone *time.Location) time.Time {
	zone = orUTC(zone)
	if hour < 0 || hour > 23 {
		hour = 9
	}
	year, month, day := t.In(zone).Date()
	for {
		day++
		switch time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Weekday() {
		case time.Saturday, time.Sunday:
			continue
		}
		if next := local(year, month, day, hour, 0, 0, zone); !weekend(next) { // a day may be missing as a whole
			return next
		}
	}
}

func weekend(t time.Time) bool {
	return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
}

// NextWeekday is the first time after t, and not t itself, at which it is that
// hour of that day of the week. An hour outside 0 to 23 is 9.
func NextWeekday(t time.Time, weekday time.Weekday, hour int, zone *time.Location) time.Time {
	zone = orUTC(zone)
	if hour < 0 || hour > 23 {
		hour = 9
	}
	year, month, day := t.In(zone).Date()
	for {
		if time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Weekday() == weekday%7 {
			if next := local(year, month, day, hour, 0, 0, zone); next.After(t) {
				return next
			}
		}
		day++
	}
}

// EndOfDay is 23:59:59 of the day that t is in; the last one, if it comes twice.
func EndOfDay(t time.Time, zone *time.Location) time.Time {
	zone = orUTC(zone)
	year, month, day := t.In(zone).Date()
	end := local(year, month, day, 23, 59, 59, zone)
	_, change := end.ZoneBounds()
	if change.IsZero() {
		return end
	}
	_, now := end.Zone()
	_, then := change.Zone()
	if again := end.Add(time.Duration(now-then) * time.Second); !again.Before(change) {
		return again
	}
	return end
}

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}

// local is a time of the wall clock. time.Date does not say which of two it
// takes when there are two or none.
func local(year int, month time.Month, day, hour, minute, second int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, hour, minute, second, 0, zone)
	want := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	start, end := t.ZoneBounds()
	switch have := wall(t); {
	case have.After(want):
		return start
	case have.Before(want):
		return end
	}
	if !start.IsZero() {
		_, now := t.Zone()
		_, before := start.Add(-1).Zone()
		if first := t.Add(time.Duration(now-before) * time.Second); first.Before(start) {
			return first
		}
	}
	return t
}

// wall is what the clock on the wall says, as if it were UTC.
func wall(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}
