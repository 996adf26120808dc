package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// machine is where the numbers come from.
type machine struct {
	CPUs     int      `json:"cpus"`
	Model    string   `json:"model,omitempty"`
	System   string   `json:"system"`
	Go       string   `json:"go"`
	Postgres string   `json:"postgres"`
	Settings []string `json:"postgres_settings"`
	Modules  []string `json:"modules"`
	Local    bool     `json:"server_on_this_machine"`
}

func describe(ctx context.Context, s *server) (machine, error) {
	m := machine{CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Model: processor(), Local: s.postmaster != 0}
	if err := s.pool.QueryRow(ctx, "SHOW server_version").Scan(&m.Postgres); err != nil {
		return m, err
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "wal_compression", "shared_buffers", "max_wal_size", "max_connections"} {
		var value string
		if err := s.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return m, err
		}
		m.Settings = append(m.Settings, name+"="+value)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			switch d.Path {
			case "github.com/riverqueue/river", "github.com/jackc/pgx/v5", "modernc.org/sqlite", "github.com/dbos-inc/dbos-transact-golang":
				m.Modules = append(m.Modules, d.Path[strings.LastIndexByte(strings.TrimSuffix(d.Path, "/v5"), '/')+1:]+" "+d.Version)
			}
		}
	}
	return m, nil
}

// processor is the name of the first CPU, as Linux tells it.
func processor() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (m machine) String() string {
	model := m.Model
	if model != "" {
		model = " (" + model + ")"
	}
	where := pick(m.Local, "on the same machine", "on another machine")
	return fmt.Sprintf("%d CPUs%s, %s, %s; PostgreSQL %s %s with %s; SQLite with synchronous=FULL; %s",
		m.CPUs, model, m.System, m.Go, m.Postgres, where, strings.Join(m.Settings, ", "), strings.Join(m.Modules, ", "))
}
