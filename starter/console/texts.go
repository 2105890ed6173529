package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
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
	return fmt.Sprintf(text, args...)
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
