package files

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

func TestZZ(t *testing.T) {
	for _, dir := range strings.Fields(os.Getenv("ZZ")) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := New(root, Config{Path: ".", Encoding: os.Getenv("ZZENC"), QuoteEscape: os.Getenv("ZZQ"), Columns: strings.FieldsFunc(os.Getenv("ZZCOL"), func(r rune) bool { return r == ',' })}, nil)
		fmt.Println("=====", dir)
		infos, err := s.Segments(t.Context())
		if err != nil {
			fmt.Println("  segments:", err)
		}
		for _, i := range infos {
			sample, err := s.Sample(t.Context(), i.Name)
			d, derr := s.Describe(t.Context(), i.Name)
			fmt.Printf("  %s: how %q looked %d problems %v err %v describe %v\n   fields %.200q\n", i.Name, sample.How, sample.Looked, sample.Problems, err, derr, d.Fields)
			for _, row := range sample.Rows {
				fmt.Printf("   %.200q\n", row)
			}
			var want []string
			for _, f := range []string{"Email", "email", "EMail", "FirstName"} {
				for _, have := range d.Fields {
					if have == f {
						want = append(want, f)
					}
				}
			}
			if len(want) == 0 {
				want = []string{"Email"}
			}
			r, err := s.Open(t.Context(), i.Name, want, nil)
			if err != nil {
				fmt.Println("   open:", want, err)
				continue
			}
			rows, err := segmenttest.Drain(r)
			p := map[segment.Problem][]int64{}
			for _, row := range rows {
				if row.Problem != "" {
					p[row.Problem] = append(p[row.Problem], row.Number)
				}
			}
			fmt.Printf("   read %v: %d rows, problems %.200s, err %v, notes %q\n", want, len(rows), fmt.Sprint(p), err, r.(segment.Noter).Notes())
		}
	}
}
