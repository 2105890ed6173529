package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/spelling"
)

// PlaceError is something wrong at a place of a file.
type PlaceError struct {
	Line, Column int
	Message      string
}

// Error tells line, column and what is wrong.
func (p *PlaceError) Error() string {
	if p.Line == 0 {
		return p.Message
	}
	return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)
}

// PlaceErrors are all that is wrong with a file.
type PlaceErrors []*PlaceError

// Error tells each on a line of its own.
func (p PlaceErrors) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// maxDepth bounds how deep a file may nest, aliases followed.
const maxDepth = 20

// Read reads the documents of a YAML (or JSON) file. What is wrong comes back
// as PlaceErrors, all at once.
func Read(data []byte) ([]Document, error) {
	r := &reader{}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var all []Document
	for {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, PlaceErrors{yamlProblem(err)}
		}
		if len(node.Content) == 0 || isNull(node.Content[0]) {
			continue // an empty document: a file may begin with ---
		}
		if doc, ok := r.document(node.Content[0]); ok {
			if i := slices.IndexFunc(all, func(o Document) bool { return o.Kind == doc.Kind && o.Name == doc.Name }); i >= 0 {
				r.fail(node.Content[0], "%s is in line %d already", doc, all[i].Line)
			}
			all = append(all, doc)
		}
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return all, nil
}

// yamlProblem gives what the library says of broken YAML, "yaml: line 3: ...",
// its place.
func yamlProblem(err error) *PlaceError {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				return &PlaceError{Line: line, Column: 1, Message: message}
			}
		}
	}
	return &PlaceError{Message: text}
}

type reader struct{ problems PlaceErrors }

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, &PlaceError{n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// document reads one document; false when there is something wrong with it.
func (r *reader) document(n *yaml.Node) (Document, bool) {
	before := len(r.problems)
	d := Document{Line: n.Line}
	parts := r.members(n, "the document", []field{{name: "kind"}, {name: "name"}, {name: "spec"}})
	if parts == nil {
		return d, false
	}
	kind, hasKind := parts["kind"]
	name, hasName := parts["name"]
	if !hasKind || !hasName {
		r.fail(n, "a document needs kind, name and spec")
		return d, false
	}
	d.Kind, d.Name = catalogue.Kind(kind.Value), name.Value
	var names []string
	for _, k := range Kinds {
		names = append(names, string(k))
	}
	if !slices.Contains(Kinds, d.Kind) {
		r.fail(kind, "there is no kind %q%s; the kinds are %s", kind.Value, hint(kind.Value, names), strings.Join(names, ", "))
		return d, false
	}
	if err := catalogue.CheckName(d.Kind, d.Name); err != nil || name.Kind != yaml.ScalarNode {
		r.fail(name, "the name is not valid: %v", err)
	}
	spec := parts["spec"]
	if spec == nil {
		r.fail(n, "the %s has no spec", d)
		return d, false
	}
	value := r.object(spec, fmt.Sprintf("a spec of kind %s", d.Kind), specFields(d.Kind), 0)
	if len(r.problems) > before {
		return d, false
	}
	var err error
	d.Spec, err = json.Marshal(value)
	return d, err == nil
}

// members returns what a mapping holds, by name; unknown and repeated names
// are problems. It returns nil for anything but a mapping.
func (r *reader) members(n *yaml.Node, what string, known []field) map[string]*yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s must have names with values", what)
		return nil
	}
	var names []string
	for _, f := range known {
		names = append(names, f.name)
	}
	found := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch _, twice := found[key.Value]; {
		case known != nil && !slices.Contains(names, key.Value):
			r.fail(key, "%s has no %q%s; it may have %s", what, key.Value, hint(key.Value, names), strings.Join(names, ", "))
		case twice:
			r.fail(key, "%q is given twice", key.Value)
		default:
			found[key.Value] = value
		}
	}
	return found
}

func hint(word string, names []string) string {
	if near := spelling.Within(3, word, names); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// object reads a mapping with known names.
func (r *reader) object(n *yaml.Node, what string, known []field, depth int) map[string]any {
	parts := r.members(n, what, known)
	out := map[string]any{}
	for _, f := range known {
		if value, ok := parts[f.name]; ok && !isNull(value) {
			out[f.name] = r.value(value, f.name, f.kind, depth+1)
		}
	}
	return out
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// value reads what is to become a Go value of a type.
func (r *reader) value(n *yaml.Node, what string, t reflect.Type, depth int) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if depth > maxDepth {
		r.fail(n, "%s nests too deep", what)
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[json.RawMessage]() {
		return r.scalar(n, what, reflect.String)
	}
	switch t.Kind() {
	case reflect.Struct:
		return r.object(n, what, fieldsOf(t, nil), depth)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "%s must be a list", what)
			return nil
		}
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			list = append(list, r.value(item, what, t.Elem(), depth+1))
		}
		return list
	case reflect.Map:
		out := map[string]any{}
		for name, value := range r.members(n, what, nil) {
			out[name] = r.value(value, what+" "+name, t.Elem(), depth+1)
		}
		return out
	}
	if values := enums[t]; len(values) > 0 && n.Kind == yaml.ScalarNode && !slices.Contains(values, n.Value) {
		r.fail(n, "%s is %q%s; it may be %s", what, n.Value, hint(n.Value, values), strings.Join(values, ", "))
		return nil
	}
	return r.scalar(n, what, t.Kind())
}

// scalar reads a single value. A text may be written as anything: 2024 and yes
// are texts too where a text is wanted.
func (r *reader) scalar(n *yaml.Node, what string, kind reflect.Kind) any {
	wanted := "a text"
	if n.Kind == yaml.ScalarNode {
		switch kind {
		case reflect.String:
			return n.Value
		case reflect.Bool:
			if n.Tag == "!!bool" {
				return strings.EqualFold(n.Value, "true")
			}
		case reflect.Int, reflect.Int64:
			var v int64
			if n.Tag == "!!int" && n.Decode(&v) == nil {
				return v
			}
		case reflect.Float64:
			var v float64
			if (n.Tag == "!!int" || n.Tag == "!!float") && n.Decode(&v) == nil && v-v == 0 { // neither NaN nor infinite
				return v
			}
		}
	}
	switch kind {
	case reflect.Bool:
		wanted = "true or false"
	case reflect.Int, reflect.Int64:
		wanted = "a whole number"
	case reflect.Float64:
		wanted = "a number"
	}
	r.fail(n, "%s must be %s", what, wanted)
	return nil
}
