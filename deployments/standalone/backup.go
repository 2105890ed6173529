package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/deployments/standalone/embedded"
	"github.com/segment-export/segment-export/internal/datadir"
	"github.com/segment-export/segment-export/worker/service"
)

// temporalDir is where the server keeps its file, below the data directory.
const temporalDir = "temporal"

// backupCommand copies a data directory in use.
func backupCommand() *cli.Command {
	return &cli.Command{Name: "backup", ArgsUsage: "DIR", HideHelpCommand: true,
		Usage: "copy the data directory to a new one, while standalone runs or not",
		Description: "The copy is a data directory: start standalone with --data-dir DIR to go on from it. It holds the\n" +
			"keyring: whoever has it can read everything in it.\n\n" +
			"Example:\n  standalone backup --data-dir /var/lib/segment-export /backup/segment-export-monday",
		Flags: []cli.Flag{&cli.StringFlag{Name: "data-dir", EnvVars: []string{datadir.Variable}, Usage: "what is copied (default: the user's data directory)"}},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return errors.New("backup takes one argument, the new directory, after the options")
			}
			from, err := dataDirOf(c)
			if err != nil {
				return err
			}
			to, err := filepath.Abs(c.Args().First())
			if err != nil {
				return err
			}
			if err := backup(c, from, to); err != nil {
				return fmt.Errorf("no backup was made: %w", err)
			}
			fmt.Fprintln(c.App.ErrWriter, "It holds the keyring and the identity: whoever has it can read everything in it, and act as admin.")
			_, err = fmt.Fprintf(c.App.Writer, "%s is a copy of %s\n", to, from)
			return err
		},
	}
}

// dataDirOf returns the data directory, named behind the command or before it.
func dataDirOf(c *cli.Context) (string, error) {
	for _, level := range c.Lineage() {
		if dir := level.String("data-dir"); dir != "" {
			return filepath.Abs(dir)
		}
	}
	return datadir.Default()
}

// backup makes the copy under another name and renames it when it is whole.
// Temporal goes first: activities may be repeated, so a store that is ahead of
// Temporal is met at every restart, and one that is behind it never.
func backup(c *cli.Context, from, to string) (err error) {
	if _, err := os.Stat(filepath.Join(from, temporalDir)); err != nil {
		return fmt.Errorf("%s is no data directory of standalone: %w", from, err)
	}
	entries, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new directory", to)
	}
	partial := to + ".partial"
	err = os.Mkdir(partial, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: another backup is making it, or was killed; if none is, remove it", partial)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	if err := embedded.Backup(c.Context, filepath.Join(from, temporalDir), filepath.Join(partial, temporalDir)); err != nil {
		return err
	}
	if err := service.Backup(c.Context, from, partial); err != nil {
		return err
	}
	if err := c.Err(); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty directory only
		return err
	}
	return os.Rename(partial, to)
}
