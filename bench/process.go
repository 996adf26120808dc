package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cpuTime is the CPU time of this process so far, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("bench: getrusage: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startProfile writes a CPU profile until stop is called.
func startProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// process is what /proc says of a process.
type process struct {
	name        string
	parent      int
	own, waited time.Duration // CPU of it, and of its children that have ended
}

// readProcess reads Linux's /proc.
func readProcess(pid int) (p process, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return p, err
	}
	text := string(raw)
	open, shut := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || shut < open {
		return p, fmt.Errorf("/proc/%d/stat cannot be read", pid)
	}
	p.name = text[open+1 : shut]
	fields := strings.Fields(text[shut+1:])
	if len(fields) < 15 {
		return p, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	number := func(i int) int {
		n, e := strconv.Atoi(fields[i])
		if e != nil {
			err = e
		}
		return n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all of Linux that Go runs on
	p.parent = number(1)
	p.own = time.Duration(number(11)+number(12)) * tick
	p.waited = time.Duration(number(13)+number(14)) * tick
	return p, err
}

// look finds the server's first process, if it runs on this machine.
func (s *server) look(ctx context.Context) error {
	var pid int
	var local bool
	err := s.pool.QueryRow(ctx, `SELECT pg_backend_pid(), coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)`).Scan(&pid, &local)
	if err != nil || !local {
		return err
	}
	backend, err := readProcess(pid)
	if err != nil || backend.name != "postgres" {
		return nil // it runs in a container, or there is no /proc
	}
	s.postmaster = backend.parent
	return nil
}

// cpu is the CPU time so far of all processes of the server, also those that
// have ended. It is known only for a server on this machine.
func (s *server) cpu() (total time.Duration, known bool) {
	if s.postmaster == 0 {
		return 0, false
	}
	main, err := readProcess(s.postmaster)
	if err != nil {
		return 0, false
	}
	total = main.own + main.waited
	names, err := os.ReadDir("/proc")
	if err != nil {
		return 0, false
	}
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil && p.parent == s.postmaster {
			total += p.own
		}
	}
	return total, true
}

// backendCPU is the CPU time so far of the connections to the own database.
func (s *server) backendCPU(ctx context.Context) (total time.Duration, known bool, err error) {
	if s.postmaster == 0 {
		return 0, false, nil
	}
	rows, err := s.pool.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'")
	if err != nil {
		return 0, false, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return 0, false, err
	}
	for _, pid := range pids {
		if p, err := readProcess(pid); err == nil {
			total += p.own
		}
	}
	return total, true, nil
}

// resident is the memory of this process that is in use, as the system counts.
func resident() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
