package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/starter/cli"
)

// typed is a person at the keyboard: each read is a line, which the terminal
// shows.
type typed struct {
	lines []string
	shown io.Writer
}

func (p *typed) Read(b []byte) (int, error) {
	if len(p.lines) == 0 {
		return 0, io.EOF
	}
	line := p.lines[0] + "\n"
	p.lines = p.lines[1:]
	_, _ = io.WriteString(p.shown, line)
	return copy(b, line), nil
}

// keyboard makes every stream a terminal at which the lines are typed.
func (b *bench) keyboard(lines ...string) {
	b.terminal("")
	b.options.In = &typed{lines, &b.err}
	b.options.ReadSecret = func(context.Context) (string, error) { return "sandbox-key", nil }
}

func buyers() protocol.SourceAnswer {
	return protocol.SourceAnswer{
		Source:      catalogue.Source{Meta: catalogue.Meta{Name: "crm"}, Type: catalogue.TypeFiles, Files: &catalogue.FilesSettings{Path: "examples"}},
		Fields:      []string{"CustomerId", "Email", "FirstName", "EmailConsent", "ConsentDate"},
		SegmentList: []protocol.SegmentAnswer{{Name: "buyers"}, {Name: "visitors"}},
	}
}

// looked is what the first rows of the buyers hold.
func looked() protocol.PreviewAnswer {
	a := protocol.PreviewAnswer{Rows: 1200}
	for _, name := range buyers().Fields {
		a.Fields = append(a.Fields, protocol.PreviewField{Name: name})
	}
	a.Fields[3].Values = []protocol.PreviewValue{{Value: "true", Count: 1000}, {Value: "nein", Count: 150}, {Count: 50}}
	return a
}

func TestInit(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "made.yaml")
	b.keyboard("", "", "examples", "", "y", "9", "1", "", "ja, true", "", "spring buyers")
	added := export("spring buyers")
	added.Connection = "Shop"
	b.answers([]any{}, buyers(), buyers(),
		[]any{}, protocol.ConnectionAnswer{Connection: catalogue.Connection{Meta: catalogue.Meta{Name: "Shop"}, Type: "omnisend", BrandID: "b1", BrandName: "Spring", Share: 0.75}},
		looked(), added)
	require.Zero(t, b.run("init", "--file", file), b.err.String())
	require.Equal(t, []string{"source list", "source add", "source show", "connection list", "connection add", "export preview", "export add"}, b.names())
	session := strings.ReplaceAll(b.err.String(), catalogue.TransferStatement, "(the statement)")
	require.Equal(t, `Step 1 of 3: the source. It is where segments are read from.
Name of the source [crm]: 
  1  files
  2  dataverse
  3  postgres
Kind (a number) [files]: 
Folder below the worker's files root, or URL of a bucket (azblob://, s3://, gs://) [.]: examples
Found 2 segments in crm.

Step 2 of 3: the connection. It is the Omnisend account that contacts go to.
Name of the connection [Shop]: 
(the statement)

Do you agree? [y/N] y
Omnisend API key (not shown): 
Added the connection Shop to brand Spring.

Step 3 of 3: the export. It says which segment goes to the connection, and which field fills what.
  1  buyers
  2  visitors
Segment (a number) [buyers]: 9
"9" is not one of them
Segment (a number) [buyers]: 1
Fields: CustomerId, Email, FirstName, EmailConsent, ConsentDate
They look like this:
  customer id      CustomerId
  email            Email
  first-name       FirstName
  consent          EmailConsent
  consent-date     ConsentDate
Use this mapping? (y, or n to change it) [y]: 
EmailConsent holds, in the first rows:
  true               1,000 rows  consent
  nein                 150 rows  not declared: no consent
  (empty)               50 rows  nothing
Values that are a consent [true, 1, yes, subscribed]: ja, true
Values that are an opt-out [unsubscribed, opted-out]: 
Name of the export [buyers]: spring buyers
`, session)
	require.Equal(t, "Wrote "+file+". Nothing was sent. Next:\n   starter plan 'spring buyers'\n   starter run 'spring buyers'\n", b.out.String())

	sent := args[protocol.ExportAddArgs](b, 6)
	require.Equal(t, []string{"ja", "true"}, sent.Consent.Consent)
	require.Empty(t, sent.Consent.OptOut, "the usual values are not written down")
	require.Equal(t, "CustomerId", sent.ID)
	require.NotContains(t, b.err.String()+b.out.String(), "sandbox-key")

	// What it wrote is what is stored.
	b.answers([]any{buyers().Source}, []any{catalogue.Connection{Meta: catalogue.Meta{Name: "Shop"}, Type: "omnisend", BrandID: "b1", Share: 0.75}}, []any{added})
	require.Zero(t, b.run("diff", "-f", file, "--exit-code"), b.out.String()+b.err.String())

	require.Equal(t, 2, b.run("init", "--file", file))
	require.Contains(t, b.err.String(), "exists already")
}

// What exists is offered, a failure is shown and the step repeated, and a mapping
// can be given field by field.
func TestInitCorrects(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "made.yaml")
	source := buyers()
	source.Fields = []string{"Key", "Mailbox"}
	b.keyboard("1", "shop", "2", "Key", "Wrong", "Mailbox", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "spring",
		"2", "Key", "Mailbox", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "autumn")
	b.answers([]any{source.Source}, source,
		[]any{catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}, Type: "omnisend"}},
		cli.Fail(protocol.ErrUsage, "no such command"), cli.Fail(protocol.ErrExists, "there is an export spring"),
		cli.Fail(protocol.ErrUsage, "no such command"), export("autumn"))
	require.Zero(t, b.run("init", "--file", file), b.err.String())
	require.Contains(t, b.err.String(), `There is no field "Wrong"; there are: Key, Mailbox`)
	require.Contains(t, b.err.String(), "That does not work: there is an export spring")
	require.Contains(t, b.err.String(), "so no contact is subscribed")
	require.Equal(t, map[string]string{"email": "Mailbox"}, plain(args[protocol.ExportAddArgs](b, 6)))
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 2, bytes.Count(written, []byte("---\n")))
}

func plain(a protocol.ExportAddArgs) map[string]string {
	m := map[string]string{}
	for attribute, field := range a.Mapping {
		m[string(attribute)] = field
	}
	return m
}

func TestInitNeedsATerminalAndItsInput(t *testing.T) {
	b := newBench(t)
	require.Equal(t, 2, b.run("init"))
	require.Contains(t, b.err.String(), "starter apply -f FILE")
	require.Empty(t, b.names())

	b.keyboard("crm")
	b.answers([]any{})
	file := filepath.Join(t.TempDir(), "made.yaml")
	require.Equal(t, 130, b.run("init", "--file", file))
	require.Contains(t, b.err.String(), "the input has ended")
	require.NoFileExists(t, file)

	b.keyboard("", "n")
	b.answers([]any{buyers().Source}, buyers(), []any{})
	b.options.In = &typed{[]string{"crm", "Shop", "n"}, &b.err}
	require.Equal(t, 130, b.run("init", "--file", file))
	require.Contains(t, b.err.String(), "not agreed")
}
