package files

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	utf "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// marks are the byte-order marks of encodings other than UTF-8, the longer ones
// first.
var marks = []struct {
	mark    string
	name    string
	decoder encoding.Encoding
}{
	{"\xff\xfe\x00\x00", "utf-32le", utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)},
	{"\x00\x00\xfe\xff", "utf-32be", utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)},
	{"\xff\xfe", "utf-16le", utf.UTF16(utf.LittleEndian, utf.IgnoreBOM)},
	{"\xfe\xff", "utf-16be", utf.UTF16(utf.BigEndian, utf.IgnoreBOM)},
}

// markOf returns the encoding that the first bytes of a file tell; no name when
// they tell none or UTF-8. The decoded text begins with the mark.
func markOf(start []byte) (encoding.Encoding, string) {
	for _, m := range marks {
		if bytes.HasPrefix(start, []byte(m.mark)) {
			return m.decoder, m.name
		}
	}
	if bytes.HasPrefix(start, utf8BOM) {
		return nil, "utf-8"
	}
	return nil, ""
}

// unmarkedUTF16 tells UTF-16 without a mark by the zero bytes of its first
// letters, of which UTF-8 has none; no name when it is something else.
func unmarkedUTF16(start []byte) (encoding.Encoding, string) {
	if len(start) < 4 {
		return nil, ""
	}
	switch zero := [4]bool{start[0] == 0, start[1] == 0, start[2] == 0, start[3] == 0}; zero {
	case [4]bool{false, true, false, true}:
		return utf.UTF16(utf.LittleEndian, utf.IgnoreBOM), "utf-16le"
	case [4]bool{true, false, true, false}:
		return utf.UTF16(utf.BigEndian, utf.IgnoreBOM), "utf-16be"
	}
	return nil, ""
}

// sure is how sure the detector must be. Of encodings with Latin letters it
// never is: it does not know those of central Europe.
const sure = 0.8

// likelyEncoding guesses the encoding of text that is not UTF-8, by a name that
// the setting of a source takes.
func likelyEncoding(text []byte) string {
	// The last line must have ended for the detector to judge it.
	if found := chardet.Detect(append(bytes.Clone(text), '\n')); found.Confidence > sure {
		if e, err := htmlindex.Get(found.Encoding); err == nil {
			if name, err := htmlindex.Name(e); err == nil && name != "utf-8" {
				return name
			}
		}
	}
	best, most := alphabets[0].encoding, 0
	for _, a := range alphabets {
		if n := a.explains(text); n > most {
			best, most = a.encoding, n
		}
	}
	return best
}

// alphabet is the letters beyond ASCII that a language is written with, in the
// encoding that Windows gives it.
type alphabet struct {
	encoding string
	table    *charmap.Charmap
	letters  string
}

// alphabets are those of Europe, of languages with the same letters only one.
var alphabets = []alphabet{
	{"windows-1252", charmap.Windows1252, "äöüßéèáàëï"},           // German, with foreign names
	{"windows-1252", charmap.Windows1252, "àâæçéèêëîïôœùûÿ"},      // French
	{"windows-1252", charmap.Windows1252, "áéíóúüñçàèòïº"},        // Spanish, Catalan
	{"windows-1252", charmap.Windows1252, "áâãàçéêíóôõú"},         // Portuguese
	{"windows-1252", charmap.Windows1252, "àèéìíòóùú"},            // Italian
	{"windows-1252", charmap.Windows1252, "åäöæøéü"},              // Nordic
	{"windows-1252", charmap.Windows1252, "áðéíóúýþæö"},           // Icelandic
	{"windows-1250", charmap.Windows1250, "ąćęłńóśźż"},            // Polish
	{"windows-1250", charmap.Windows1250, "áäčďéěíĺľňóôŕřšťúůýž"}, // Czech, Slovak
	{"windows-1250", charmap.Windows1250, "áéíóöőúüű"},            // Hungarian
	{"windows-1250", charmap.Windows1250, "ăâîşţ"},                // Romanian
	{"windows-1250", charmap.Windows1250, "čćđšž"},                // Croatian, Slovenian
	{"windows-1254", charmap.Windows1254, "âçğıiöşüû"},            // Turkish
	{"windows-1257", charmap.Windows1257, "āčēģīķļņšūž"},          // Latvian
	{"windows-1257", charmap.Windows1257, "ąčęėįšųūž"},            // Lithuanian
	{"windows-1257", charmap.Windows1257, "äõöüšž"},               // Estonian
	{"windows-1253", charmap.Windows1253, "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώϊϋςΐΰ"},
	{"windows-1251", charmap.Windows1251, "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґўђћљњџјѓќѕ"},
}

// explains counts the bytes beyond ASCII that are letters of the alphabet.
func (a alphabet) explains(text []byte) int {
	n := 0
	for _, b := range text {
		if b < utf8.RuneSelf {
			continue
		}
		if strings.ContainsRune(a.letters, unicode.ToLower(a.table.DecodeByte(b))) {
			n++
		}
	}
	return n
}
