package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/admin"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/seal"
)

// keyringFile is the keyring's file in a data directory.
const keyringFile = "keyring.json"

// KeyringCommand is the command keyring of programs with a worker. It works on
// files and the store while workers run. flags say where the store is, besides the
// data directory.
func KeyringCommand(program string, flags ...cli.Flag) *cli.Command {
	flags = append([]cli.Flag{
		&cli.StringFlag{Name: "data-dir", EnvVars: []string{localfile.Variable}, Usage: "`DIR` with keyring.json and the SQLite store"},
	}, flags...)
	output := &cli.StringFlag{Name: "output", Value: "text", Usage: "text or json"}
	example := func(line string) string { return "Example:\n  " + program + " keyring " + line }
	return &cli.Command{Name: "keyring", Usage: "show and rotate the keys that encrypt the store", HideHelpCommand: true,
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "show the keyring's id, its number of keys, and the fingerprint to pin", Flags: append([]cli.Flag{output}, flags...),
				Description: example("show --data-dir /var/lib/segment-export"), Action: keyringShow},
			{Name: "rotate", Usage: "add a new key that encrypts from now on; the old keys still decrypt older data", Flags: flags,
				Description: example("rotate"), Action: keyringRotate},
			{Name: "reencrypt", Usage: "encrypt everything in the store with the newest key; you can interrupt and repeat it", Flags: flags,
				Description: example("reencrypt"), Action: keyringReencrypt},
		}}
}

func keyringAt(c *cli.Context) (*seal.Keyring, string, error) {
	if c.Args().Present() {
		return nil, "", fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	dir := c.String("data-dir")
	if dir == "" {
		var err error
		if dir, err = localfile.Default(); err != nil {
			return nil, "", err
		}
	}
	k, err := seal.LoadKeyring(filepath.Join(dir, keyringFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("there is no keyring in %s: set --data-dir to the worker's data directory", dir)
	}
	return k, dir, err
}

func keyringShow(c *cli.Context) error {
	k, dir, err := keyringAt(c)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, keyringFile)
	switch c.String("output") {
	case "json":
		return json.NewEncoder(c.App.Writer).Encode(map[string]any{"file": file, "id": k.ID(), "fingerprint": k.PublicKey().Fingerprint(), "keys": k.Keys()})
	case "text":
		_, err = fmt.Fprintf(c.App.Writer, "file         %s\nid           %s\nfingerprint  %s\nkeys         %d\n", file, k.ID(), k.PublicKey().Fingerprint(), k.Keys())
		return err
	}
	return fmt.Errorf("--output %q is not text or json", c.String("output"))
}

func keyringRotate(c *cli.Context) error {
	k, dir, err := keyringAt(c)
	if err != nil {
		return err
	}
	if err := k.Rotate(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s has %d keys now; the newest one encrypts.\nBack the file up. Workers with their own copy need the new file; they read it without a restart.\n"+
		"The old keys still decrypt older data. To encrypt it with the newest key: keyring reencrypt\n", filepath.Join(dir, keyringFile), k.Keys())
	return err
}

func keyringReencrypt(c *cli.Context) (err error) {
	k, dir, err := keyringAt(c)
	if err != nil {
		return err
	}
	s, err := openStore(c.Context, Options{DataDir: dir, Postgres: c.String("store-url")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	known, err := s.Object(c.Context, metaKind, metaKeyring)
	if err != nil {
		return fmt.Errorf("the keyring of this store: %w", err)
	}
	if err := k.OpenCheck(known.Sealed); err != nil {
		return err
	}
	done, err := admin.Reseal(c.Context, s, k, func(r admin.Resealed) { tell(c.App.ErrWriter, r) })
	fmt.Fprintln(c.App.ErrWriter)
	if err != nil {
		return fmt.Errorf("%w; what was encrypted again stays so; repeat the command to continue", err)
	}
	if _, err := fmt.Fprintf(c.App.Writer, "%d of %d encrypted again\n", done.Again, done.Seen); err != nil {
		return err
	}
	if done.Moved > 0 {
		return fmt.Errorf("a worker changed %d at the same moment: repeat the command", done.Moved)
	}
	if done.Damaged > 0 {
		return fmt.Errorf("no key of this keyring decrypts %d of them; they were not changed", done.Damaged)
	}
	return nil
}

// tell shows progress in one line.
func tell(w io.Writer, r admin.Resealed) {
	fmt.Fprintf(w, "\r%d checked, %d encrypted again", r.Seen, r.Again)
}
