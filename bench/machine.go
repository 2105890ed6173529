package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// diskForProfile is how many bytes of disk a profile takes at most while a bench
// runs: its row, twice while it is replaced, the store with its log, Temporal's
// database.
const diskForProfile = 2_000

// enoughDisk says so when a folder's disk has no room for that many profiles.
func enoughDisk(dir string, profiles int) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return err
	}
	free, needed := int64(disk.Bavail)*disk.Bsize, int64(profiles)*diskForProfile
	if free < needed {
		return fmt.Errorf("%s has %d MB free and %d profiles need %d MB: choose another disk with TMPDIR, or fewer profiles",
			dir, free/1_000_000, profiles, needed/1_000_000)
	}
	return nil
}

// stored is how many bytes of disk the store takes, its log included.
func (b *bed) stored(ctx context.Context) (int64, error) {
	var sum int64
	if b.dsn == "" {
		for _, file := range []string{"store.db", "store.db-wal"} {
			if info, err := os.Stat(filepath.Join(b.dir, "data", file)); err == nil {
				sum += info.Size()
			}
		}
		return sum, nil
	}
	conn, err := pgx.Connect(ctx, b.dsn)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database()) + (SELECT COALESCE(SUM(size), 0) FROM pg_ls_waldir())::bigint").Scan(&sum)
	return sum, err
}

// mostStored watches the store until the context ends, and returns the most that
// it took.
func (b *bed) mostStored(ctx context.Context) int64 {
	var most int64
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return most
		case <-tick.C:
			if now, err := b.stored(ctx); err == nil {
				most = max(most, now)
			}
		}
	}
}

// peakMiB is the most memory that a process had, by the kernel's account.
func peakMiB(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// cpu is the processor time of a process in seconds; the kernel counts it in
// hundredths.
func cpu(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}
