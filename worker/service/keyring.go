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
		&cli.StringFlag{Name: "data-dir", EnvVars: []string{localfile.Variable}, Usage: "where keyring.json is, and the SQLite store"},
	}, flags...)
	output := &cli.StringFlag{Name: "output", Value: "text", Usage: "text or json"}
	example := func(line string) string { return "Example:\n  " + program + " keyring " + line }
	return &cli.Command{Name: "keyring", Usage: "look at the keys that data is sealed with, change them", HideHelpCommand: true,
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "the keyring's id, its number of keys, and the fingerprint to pin", Flags: append([]cli.Flag{output}, flags...),
				Description: example("show --data-dir /var/lib/segment-export"), Action: keyringShow},
			{Name: "rotate", Usage: "add a new key, which seals from now on; the old ones still open what they sealed", Flags: flags,
				Description: example("rotate"), Action: keyringRotate},
			{Name: "reencrypt", Usage: "seal everything in the store again with the newest key; may be interrupted and repeated", Flags: flags,
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
		return nil, "", fmt.Errorf("there is no keyring in %s: name the worker's data directory with --data-dir", dir)
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
	_, err = fmt.Fprintf(c.App.Writer, "%s has %d keys now, the newest seals.\nMake a backup of the file. Workers with a copy of their own need this one: they read it without a restart.\n"+
		"What was sealed before is read with the old keys; seal it again with: keyring reencrypt\n", filepath.Join(dir, keyringFile), k.Keys())
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
		return fmt.Errorf("%w; what was sealed again stays so, the same command continues", err)
	}
	if _, err := fmt.Fprintf(c.App.Writer, "%d of %d sealed again\n", done.Anew, done.Seen); err != nil {
		return err
	}
	if done.Moved > 0 {
		return fmt.Errorf("%d were changed by a worker at the same moment: give the command again", done.Moved)
	}
	if done.Damaged > 0 {
		return fmt.Errorf("%d cannot be opened with any key of this keyring, and were left as they are", done.Damaged)
	}
	return nil
}

// tell shows progress in one line.
func tell(w io.Writer, r admin.Resealed) {
	fmt.Fprintf(w, "\r%d looked at, %d sealed anew", r.Seen, r.Anew)
}
