package files

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
)

// sharedTexts are the texts that cells refer to by number.
type sharedTexts struct {
	all  []byte
	ends []uint32
}

func (s *sharedTexts) at(i int) (string, error) {
	if i < 0 || i >= len(s.ends) {
		return "", errWorkbook
	}
	from := uint32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	return string(s.all[from:s.ends[i]]), nil
}

// sharedTexts reads them, each into a few bytes more than it has, and no more
// than so many bytes.
func (w *workbook) sharedTexts(ctx context.Context, most int) (*sharedTexts, error) {
	s := &sharedTexts{}
	f := w.files[w.texts]
	if w.texts == "" || f == nil {
		return s, nil
	}
	src, err := f.Open()
	if err != nil {
		return nil, errWorkbook
	}
	defer src.Close()
	limit := newLimited(ctx, src)
	d := limit.decoder()
	for {
		token, err := d.RawToken()
		if err != nil {
			return nil, broken(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "si" {
				continue
			}
			text, err := elementText(d, "si", "t")
			if errors.Is(err, errTooLong) {
				return nil, fmt.Errorf("one of its texts takes more than %d MiB; save the sheet as CSV in UTF-8", maxRowXML>>20)
			}
			if err != nil {
				return nil, broken(err)
			}
			limit.left = maxRowXML
			s.all = append(s.all, unescapeText(text)...)
			s.ends = append(s.ends, uint32(len(s.all)))
			if len(s.all)+4*len(s.ends) > most {
				return nil, fmt.Errorf("its texts take more than %d MiB, which is too much for a workbook; save the sheet as CSV in UTF-8", most>>20)
			}
		case xml.EndElement:
			if t.Name.Local == "sst" {
				return s, nil
			}
		}
	}
}
