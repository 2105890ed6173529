package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// language is the name of the file that all texts are read from.
const language = "en"

//go:embed texts
var textFiles embed.FS

// texts are all words of the pages, by key.
type texts map[string]string

func readTexts(language string) (texts, error) {
	raw, err := textFiles.ReadFile("texts/" + language + ".json")
	if err != nil {
		return nil, err
	}
	var t texts
	return t, json.Unmarshal(raw, &t)
}

// say returns the text of a key with its arguments filled in. A key without a
// text is shown as it is; a test finds those.
func (t texts) say(key string, args ...any) string {
	text, ok := t[key]
	switch {
	case !ok:
		return key
	case len(args) == 0:
		return text
	}
	for i, arg := range args {
		if name, ok := arg.(string); ok {
			args[i] = isolate(name)
		}
	}
	return fmt.Sprintf(text, args...)
}

// The marks of Unicode that keep the direction of a text from the text around it.
const (
	openIsolate  = "\u2068"
	closeIsolate = "\u2069"
)

// isolate keeps a name that is written from right to left, or pretends to be,
// from turning the words of the sentence around it.
func isolate(name string) string {
	if !strings.ContainsFunc(name, turns) {
		return name
	}
	closed := strings.Count(name, closeIsolate)
	opened := strings.Count(name, openIsolate) + strings.Count(name, "\u2066") + strings.Count(name, "\u2067")
	return strings.Repeat(openIsolate, 1+closed) + name + strings.Repeat(closeIsolate, 1+closed+opened)
}

func turns(r rune) bool {
	return unicode.In(r, unicode.Bidi_Control, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko)
}

// named returns the text of one of a group's codes, such as reason.email_missing.
// A worker of a newer release may send codes without a text: their words are
// shown.
func (t texts) named(group, code string) string {
	if text, ok := t[group+"."+code]; ok {
		return text
	}
	return strings.ReplaceAll(code, "_", " ")
}
