package files

import (
	"encoding/xml"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dateStyles says of each style of cells whether a number in it is a date.
func (w *workbook) dateStyles() ([]bool, error) {
	if w.styles == "" || w.files[w.styles] == nil {
		return nil, nil
	}
	dates := map[int]bool{}
	for _, of := range [][2]int{{14, 17}, {22, 22}, {27, 31}, {34, 36}, {50, 54}, {57, 58}} {
		for id := of[0]; id <= of[1]; id++ {
			dates[id] = true
		}
	}
	var formats []int
	err := w.elements(w.styles, func(parent string, e xml.StartElement) {
		id := number(attribute(e, "numFmtId"))
		switch {
		case e.Name.Local == "numFmt" && parent == "numFmts":
			dates[id] = isDateFormat(attribute(e, "formatCode"))
		case e.Name.Local == "xf" && parent == "cellXfs":
			formats = append(formats, id)
		}
	})
	styles := make([]bool, len(formats))
	for i, id := range formats {
		styles[i] = dates[id]
	}
	return styles, err
}

// notFormat is what a format shows as it is, and its colour or language.
var notFormat = regexp.MustCompile(`"[^"]*"|\\.|_.|\*.|\[[^\]]*\]`)

// isDateFormat says that a number format shows a day, not only a time.
func isDateFormat(code string) bool {
	return strings.ContainsAny(notFormat.ReplaceAllString(code, ""), "dDyY")
}

// calendar counts days as a workbook does.
type calendar struct{ from1904 bool }

// date is a number of days as ISO 8601, without a zone, as a workbook has none;
// anything else stays as it is.
func (c calendar) date(text string) string {
	days, err := strconv.ParseFloat(text, 64)
	if err != nil || days < 1 || days > 2_958_465.999999 {
		return text
	}
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC) // there was no 29 February 1900, but in Excel
	switch {
	case c.from1904:
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case days < 60:
		epoch = epoch.AddDate(0, 0, 1)
	}
	whole := int(days)
	at := epoch.AddDate(0, 0, whole).Add(time.Duration((days - float64(whole)) * float64(24*time.Hour))).Round(time.Millisecond)
	if at.Equal(at.Truncate(24 * time.Hour)) {
		return at.Format(time.DateOnly)
	}
	return at.Format(localTime)
}
