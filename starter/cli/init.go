package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/manifest"
	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) initCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "init", usage: "set up a source, a connection and an export, step by step",
		detail: `Asks on the terminal, and offers what it finds: the segments of the source, their fields, a field mapping, and the
values of the consent field. Each step is tried and stored before the next one. At the end it writes the configuration
to a file, which "starter apply" takes. It sends nothing: "starter plan" shows what a run would send.`,
		example: "starter init\nstarter init --file exports.yaml",
		flags:   []cli.Flag{&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Value: "segment-export.yaml", Usage: "write the configuration to this `FILE`, which must not exist"}},
		do:      s.init,
	})
}

// setUp is what the steps of init have set up.
type setUp struct {
	source     protocol.SourceAnswer
	connection string
	documents  []manifest.Document
}

func (s *session) init(c *cli.Context) error {
	file := c.String("file")
	if !s.o.InTerminal || !s.o.ErrTerminal {
		return usage(`init asks questions and needs a terminal. Without one, write the configuration to a file and apply it: starter apply -f FILE (see docs/configuration.md); or use starter source add, connection add and export add`)
	}
	if _, err := os.Lstat(file); err == nil {
		return usage("%s exists already: choose another file with --file", file)
	}
	if err := s.ready(c.Context); err != nil {
		return err
	}
	set := &setUp{}
	for _, step := range []func(context.Context, *setUp) error{s.initSource, s.initConnection, s.initExport} {
		if err := step(c.Context, set); err != nil {
			return err
		}
	}
	text, err := documentsYAML(set.documents)
	if err != nil {
		return err
	}
	if err := create(file, text); err != nil {
		return err
	}
	export := set.documents[len(set.documents)-1].Name
	raw, err := json.Marshal(map[string]string{"file": file, "export": export})
	if err != nil {
		return err
	}
	return s.print(raw, func(p *page) {
		p.line("Wrote %s. Nothing was sent. Next:", file)
		p.line("   starter plan %s", shellWord(export))
		p.line("   starter run %s", shellWord(export))
	})
}

// create writes a file that does not exist.
func create(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it holds no secret
	if errors.Is(err, fs.ErrExist) {
		return usage("%s exists already: choose another file with --file", name)
	}
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fail(protocol.ErrFailed, "write the configuration: %v", err)
	}
	return nil
}

// documentsYAML writes documents as one file.
func documentsYAML(all []manifest.Document) ([]byte, error) {
	var out bytes.Buffer
	for i, d := range all {
		if i > 0 {
			out.WriteString("---\n")
		}
		if err := writeYAML(&out, d.JSON()); err != nil {
			return nil, err
		}
	}
	return escapeUnseen(out.Bytes()), nil
}

// shellWord quotes a name that is not one word.
func shellWord(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("-_.", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}

// question asks for a line; an empty one is the suggestion. The end of the
// input ends the command.
func (s *session) question(ctx context.Context, text, suggestion string) (string, error) {
	if s.in == nil {
		s.in = newLines(s.o.In)
	}
	if suggestion != "" {
		text += " [" + suggestion + "]"
	}
	fmt.Fprintf(s.o.Err, "%s: ", clean(text))
	line, err := s.in.next(ctx)
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(s.o.Err)
		return "", fail(classInterrupted, "the input has ended; what was added until now is kept: start again with starter init")
	}
	return or(strings.TrimSpace(line), suggestion), err
}

// choose asks for one of several things by number or name, the first one being
// the suggestion. With other a new name is taken too.
func (s *session) choose(ctx context.Context, text string, from []string, other bool) (string, error) {
	for i, name := range from {
		s.say("  %d  %s", i+1, name)
	}
	for {
		word, err := s.question(ctx, text, from[0])
		if err != nil {
			return "", err
		}
		if n, err := strconv.Atoi(word); err == nil && n >= 1 && n <= len(from) && !slices.Contains(from, word) {
			return from[n-1], nil
		}
		if slices.Contains(from, word) || other {
			return word, nil
		}
		s.say("%q is not one of them", word)
	}
}

// tryAgain shows why a step failed when its input can be corrected, and returns
// any other failure.
func (s *session) tryAgain(err error) error {
	if isClass(err, protocol.ErrUsage, protocol.ErrExists, protocol.ErrFailed, protocol.ErrNotFound, protocol.ErrConflict) {
		s.say("That does not work: %v\nTry again, or press Ctrl-C.\n", err)
		return nil
	}
	return err
}

// someName asks for the name of a thing that is there, or of a new one.
func (s *session) someName(ctx context.Context, thing string, names []string, example string) (string, error) {
	if len(names) > 0 {
		return s.choose(ctx, strings.ToUpper(thing[:1])+thing[1:]+" (a number, or a new name)", names, true)
	}
	return s.question(ctx, "Name of the "+thing, example)
}

// initConnection chooses a connection, or adds one.
func (s *session) initConnection(ctx context.Context, set *setUp) error {
	s.say("\nStep 2 of 3: the connection. It is the Omnisend account that contacts go to.")
	there, names, err := s.named(ctx, catalogue.KindConnection)
	if err != nil {
		return err
	}
	for {
		name, err := s.someName(ctx, "connection", names, "Shop")
		if err != nil {
			return err
		}
		raw := there[name]
		if raw == nil {
			if raw, err = s.newConnection(ctx, name); err != nil {
				if err = s.tryAgain(err); err != nil {
					return err
				}
				continue
			}
		}
		set.connection = name
		return set.add(catalogue.KindConnection, raw)
	}
}

func (s *session) newConnection(ctx context.Context, name string) (json.RawMessage, error) {
	s.say("%s\n", catalogue.TransferStatement)
	agreed, err := s.ask(ctx, "Do you agree?")
	if err != nil {
		return nil, err
	}
	if !agreed {
		return nil, fail(classInterrupted, "not agreed: the connection was not added")
	}
	key, err := s.apiKey(ctx, "")
	if err != nil {
		return nil, err
	}
	raw, err := s.call(ctx, order{name: protocol.ConnectionAdd, object: name,
		args: protocol.ConnectionAddArgs{Name: name, Agree: true}, secret: protocol.ConnectionSecret{Key: key}})
	if err != nil {
		return nil, err
	}
	var a protocol.ConnectionAnswer
	if err := decode(raw, &a); err != nil {
		return nil, err
	}
	s.say("Added the connection %s to brand %s.", a.Name, or(a.BrandName, a.BrandID))
	return raw, nil
}

// named lists the objects of a kind, by name and as a sorted list of names.
func (s *session) named(ctx context.Context, kind catalogue.Kind) (map[string]json.RawMessage, []string, error) {
	there, err := s.objects(ctx, kind)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for name := range there {
		names = append(names, name)
	}
	slices.Sort(names)
	return there, names, nil
}

// add keeps the document of an object for the file.
func (set *setUp) add(kind catalogue.Kind, raw json.RawMessage) error {
	d, err := manifest.Of(kind, raw)
	if err == nil {
		set.documents = append(set.documents, d)
	}
	return err
}
