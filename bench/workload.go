package main

import "context"

// workload is one group of measurements.
type workload struct {
	name, title string
	run         func(ctx context.Context, b *bench, s *section) error
}

// workloads in the order in which they run and are shown.
func workloads() []workload {
	return []workload{
		{"throughput", "runs of 5 steps, results of 100 bytes, 100 at a time", throughput},
		{"latency", "one run at a time on an idle engine", latency},
		{"each", "items of one run, and whether many cost more than few", each},
		{"passes", "a loop with a wait in each pass, its begin and its end", passes},
		{"start", "32 callers that only start runs", startRate},
		{"bytes", "10 small changes to a state of 256 KiB", bytesWritten},
		{"scaling", "1 to 4 worker processes on one PostgreSQL", scaling},
		{"takeover", "a worker process is killed or stopped", takeover},
		{"event", "an event for a run that waits on another worker process", eventLatency},
		{"budget", "round trips and statements, counted on the wire", budget},
		{"parked", "beside a crowd of sleeping runs", parked},
		{"growth", "beside a crowd of finished runs", growth},
		{"spread", "items of one run, each a run of its own", spreadOut},
		{"ai", "calls of a model through the fake server, beside plain requests", models},
		{"plan", "planning and folding alone, without a database", planned},
	}
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	return names
}
