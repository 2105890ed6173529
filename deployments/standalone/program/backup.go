package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/deployments/standalone/embedded"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/sqlitecopy"
	"github.com/segment-export/segment-export/worker/service"
)

// temporalDir is where the server keeps its file, below the data directory.
const temporalDir = "temporal"

// backupCommand copies a data directory in use.
func backupCommand() *cli.Command {
	return &cli.Command{Name: "backup", ArgsUsage: "DIR", HideHelpCommand: true,
		Usage: "copy the data directory to a new one; standalone can keep running",
		Description: "The copy is a data directory: start standalone with --data-dir DIR to continue from it. It holds the\n" +
			"keyring: anyone who has it can read everything in it.\n\n" +
			"Example:\n  standalone backup --data-dir /var/lib/segment-export /backup/segment-export-monday",
		Flags: []cli.Flag{&cli.StringFlag{Name: "data-dir", EnvVars: []string{localfile.Variable}, Usage: "`DIR` to copy (default: the user's data directory)"}},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return errors.New("give one argument, the new directory, after the options")
			}
			from, err := dataDirOf(c)
			if err != nil {
				return err
			}
			to, err := filepath.Abs(c.Args().First())
			if err != nil {
				return err
			}
			if err := Backup(c.Context, from, to); err != nil {
				return fmt.Errorf("no backup was made: %w", err)
			}
			fmt.Fprintln(c.App.ErrWriter, "It holds the keyring and the identity: anyone who has it can read everything in it, and act as admin.")
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
	return localfile.Default()
}

// Backup copies the data directory from, which may be in use, to the new
// directory to. It makes the copy under another name and renames it when it is
// whole; a failed or interrupted one leaves nothing.
// Temporal goes first: activities may be repeated, so a store that is ahead of
// Temporal is met at every restart, and one that is behind it never.
func Backup(ctx context.Context, from, to string) (err error) {
	if err := mayCopy(from, to); err != nil {
		return err
	}
	partial := to + ".partial"
	finish, err := begin(partial)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if ctx.Err() != nil {
				err = errors.New("it was interrupted")
			}
			err = errors.Join(err, empty(partial), os.RemoveAll(partial), finish()) // the mark last
		}
	}()
	if err := embedded.Backup(ctx, filepath.Join(from, temporalDir), filepath.Join(partial, temporalDir)); err != nil {
		return err
	}
	if err := service.Backup(ctx, from, partial); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(filepath.Join(partial, localfile.Unfinished)), sqlitecopy.Sync(partial)); err != nil {
		return err
	}
	if err := os.Rename(partial, to); err != nil {
		return err
	}
	return errors.Join(sqlitecopy.Sync(filepath.Dir(to)), finish())
}

// mayCopy looks before anything is copied whether the copy could be put there.
func mayCopy(from, to string) error {
	if _, err := os.Stat(filepath.Join(from, temporalDir)); err != nil {
		return fmt.Errorf("%s is not a data directory of standalone: %w", from, err)
	}
	if err := localfile.CheckWhole(from); err != nil {
		return err
	}
	above, err := filepath.EvalSymlinks(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("the directory for %s does not exist: %w", to, err)
	}
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	if below, err := filepath.Rel(real, above); err == nil && filepath.IsLocal(below) {
		return fmt.Errorf("%s would be inside %s and be lost with it: name a directory elsewhere", to, from)
	}
	entries, err := os.ReadDir(to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new directory", to)
	}
	// An empty one is removed first: when that fails, as for the mount point of a
	// volume, the error comes before the work and not after it.
	if err := os.Remove(to); err != nil {
		return fmt.Errorf("%w; name a new directory in it", err)
	}
	return nil
}

// begin makes the directory that the copy grows in, with the mark that it is
// not whole. This process has the mark locked, so that what a killed backup
// left can be distinguished from the work of another one, and is removed.
func begin(partial string) (finish func() error, err error) {
	how := os.O_RDWR
	switch err := os.Mkdir(partial, 0o700); {
	case err == nil:
		how |= os.O_CREATE | os.O_EXCL
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	case os.Remove(partial) == nil: // it was killed before it had the mark
		return begin(partial)
	}
	f, err := os.OpenFile(filepath.Join(partial, localfile.Unfinished), how, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s exists and is not an unfinished backup: remove it, or name another directory", partial)
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another backup is writing to %s (%w): wait for it, or name another directory", partial, err), f.Close())
	}
	if err := errors.Join(empty(partial), sqlitecopy.Sync(partial)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// empty removes what a killed backup has copied, all but the mark.
func empty(partial string) error {
	entries, err := os.ReadDir(partial)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == localfile.Unfinished {
			continue
		}
		if err := os.RemoveAll(filepath.Join(partial, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
