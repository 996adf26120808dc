package durable_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/durable-go/durable"
	"pgregory.net/rapid"
)

func zones() []string {
	return []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
		"Pacific/Apia", "Africa/Cairo", "Asia/Beirut", "America/St_Johns", "Pacific/Chatham",
	}
}

func TestSL6_Examples(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for i, c := range []struct{ got, want time.Time }{
		{durable.NextBusinessDay(at("2026-03-06 08:00:00"), 9, berlin), at("2026-03-09 09:00:00")}, // from Friday to Monday
		{durable.NextBusinessDay(at("2026-03-08 23:59:59"), -1, berlin), at("2026-03-09 09:00:00")},
		{durable.NextBusinessDay(at("2026-03-09 08:00:00"), 0, berlin), at("2026-03-10 00:00:00")},
		{durable.NextBusinessDay(time.Date(2026, 3, 9, 23, 30, 0, 0, time.UTC), 9, berlin), at("2026-03-11 09:00:00")}, // there it is Tuesday
		{durable.NextWeekday(at("2026-03-09 09:00:00"), time.Monday, 9, berlin), at("2026-03-16 09:00:00")},
		{durable.NextWeekday(at("2026-03-09 08:59:59"), time.Monday, 9, berlin), at("2026-03-09 09:00:00")},
		{durable.NextWeekday(at("2026-03-25 12:00:00"), time.Sunday, 2, berlin), at("2026-03-29 03:00:00")}, // there is no 2 o'clock
		{durable.EndOfDay(at("2026-03-29 00:30:00"), berlin), at("2026-03-29 23:59:59")},
		{durable.EndOfDay(at("2026-03-29 23:59:59"), nil), time.Date(2026, 3, 29, 23, 59, 59, 0, time.UTC)},
	} {
		if !c.got.Equal(c.want) {
			t.Errorf("case %d: %s, want %s", i, c.got, c.want)
		}
	}
	// 2 o'clock comes twice on this day: it is the first.
	got := durable.NextWeekday(at("2026-10-24 12:00:00"), time.Sunday, 2, berlin)
	if want := time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("%s, want %s", got, want)
	}
}

// Against a search through all minutes around the day, which knows nothing of
// how zones are kept.
func TestSL6_AgainstASearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones()).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		from := time.Unix(rapid.Int64Range(0, 2_000_000_000).Draw(t, "from"), 0)
		if rapid.Bool().Draw(t, "near a change") {
			if _, end := from.In(zone).ZoneBounds(); !end.IsZero() {
				from = end.Add(time.Duration(rapid.IntRange(-8*24*60, 60).Draw(t, "minutes")) * time.Minute)
			}
		}
		hour, day := rapid.IntRange(0, 23).Draw(t, "hour"), time.Weekday(rapid.IntRange(0, 6).Draw(t, "day"))
		next := durable.NextWeekday(from, day, hour, zone)
		if !next.After(from) {
			t.Fatalf("%s is not after %s", next, from)
		}
		honest(t, "NextWeekday", next.In(zone), func(x time.Time) bool { return x.Weekday() == day && x.Hour() == hour })
		for x := from.Truncate(15 * time.Minute).Add(15 * time.Minute); x.Before(next); x = x.Add(15 * time.Minute) {
			if y := x.In(zone); y.Weekday() == day && y.Hour() == hour && y.Minute() == 0 && !second(y) {
				t.Fatalf("NextWeekday after %s is %s, but %s comes before", from.In(zone), next, y)
			}
		}
		business := durable.NextBusinessDay(from, hour, zone).In(zone)
		honest(t, "NextBusinessDay", business, func(x time.Time) bool { return x.Hour() == hour })
		if wd := business.Weekday(); wd == time.Saturday || wd == time.Sunday || !business.After(from) {
			t.Fatalf("NextBusinessDay after %s is %s", from.In(zone), business)
		}
		if d := business.Sub(from); d > 5*24*time.Hour {
			t.Fatalf("NextBusinessDay after %s is %s later", from.In(zone), d)
		}
		end := durable.EndOfDay(from, zone).In(zone)
		if end.Before(from.In(zone)) || end.YearDay() != from.In(zone).YearDay() || end.Format(time.TimeOnly) != "23:59:59" {
			t.Fatalf("EndOfDay of %s is %s", from.In(zone), end)
		}
	})
}

// honest wants a full hour as it was asked for, or the first instant after a gap.
func honest(t *rapid.T, what string, got time.Time, asked func(time.Time) bool) {
	if asked(got) && got.Minute() == 0 && got.Second() == 0 {
		return
	}
	_, before := got.Add(-1).Zone()
	if _, after := got.Zone(); after <= before {
		t.Fatalf("%s is %s, which is neither what was asked for nor after a gap", what, got)
	}
}

// second tells whether the clock on the wall has said the same within three hours.
func second(t time.Time) bool {
	for d := 15 * time.Minute; d <= 3*time.Hour; d += 15 * time.Minute {
		if t.Add(-d).Format(time.DateTime) == t.Format(time.DateTime) {
			return true
		}
	}
	return false
}
