// Command generate writes a segment of invented people as CSV to standard
// output, for examples and trials at any size.
//
//	go run ./examples/generate --size 5000 --seed 1 > examples/segments/spring_buyers.csv
//	go run ./examples/generate --size 5000 --seed 1 --change 0.01 --leave 0.005 > refreshed.csv
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	size := flags.Int("size", 5000, "rows")
	seed := flags.Uint64("seed", 1, "another seed gives other people")
	expected := flags.String("expected", "", "also write what the segment holds to this `file`, as JSON")
	var v synthetic.Variant
	flags.Float64Var(&v.Change, "change", 0, "the part of the people, 0 to 1, that have moved house")
	flags.Float64Var(&v.Leave, "leave", 0, "the part of the people, 0 to 1, that are gone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	holds, err := synthetic.WriteVariant(stdout, *size, *seed, v)
	if err != nil || *expected == "" {
		return err
	}
	data, err := json.MarshalIndent(holds, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*expected, append(data, '\n'), 0o600)
}
