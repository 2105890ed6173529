package contract

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// schema is the small part of JSON Schema that the contract needs.
type schema struct {
	Ref        string            `json:"ref"`  // name of another schema; then nothing else is set
	Type       string            `json:"type"` // any, object, array, string, integer, number, boolean
	Nullable   bool              `json:"nullable"`
	Enum       []string          `json:"enum"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Additional *schema           `json:"additional"` // of properties not named; nil: there may be none
	Items      *schema           `json:"items"`
	MinItems   int               `json:"minItems"`
	MaxItems   int               `json:"maxItems"` // 0: no limit
}

// check collects the breaches of one request or answer. They name paths and
// rules, never values.
type check struct {
	answer   bool // relied fields are required too
	breaches []string
}

func (c *check) fail(path, format string, args ...any) {
	c.breaches = append(c.breaches, path+" "+fmt.Sprintf(format, args...))
}

func (c *check) json(name string, body []byte) {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		c.fail("body", "is not JSON")
		return
	}
	c.value("body", schema{Ref: name}, v)
}

func (c *check) value(path string, s schema, v any) {
	required := s.Required
	if s.Ref != "" {
		name := s.Ref
		target, ok := held.Schemas[name]
		if !ok {
			c.fail(path, "refers to the unknown schema %s", name)
			return
		}
		target.Nullable = target.Nullable || s.Nullable
		s, required = target, target.Required
		if c.answer {
			required = append(slices.Clone(required), relied[name]...)
		}
	}
	if v == nil && s.Nullable || s.Type == "any" {
		return
	}
	switch typed := v.(type) {
	case map[string]any:
		if s.Type == "object" {
			c.object(path, s, required, typed)
			return
		}
	case []any:
		if s.Type == "array" {
			c.array(path, s, typed)
			return
		}
	case string:
		if s.Type == "string" {
			if len(s.Enum) > 0 && !slices.Contains(s.Enum, typed) {
				c.fail(path, "is none of its values")
			}
			return
		}
	case float64:
		if s.Type == "number" || s.Type == "integer" && typed == math.Trunc(typed) {
			return
		}
	case bool:
		if s.Type == "boolean" {
			return
		}
	}
	c.fail(path, "is not of type %s", s.Type)
}

func (c *check) object(path string, s schema, required []string, v map[string]any) {
	for _, name := range required {
		if _, ok := v[name]; !ok {
			c.fail(path+"."+name, "is missing")
		}
	}
	for name, member := range v {
		sub, ok := s.Properties[name]
		switch {
		case ok:
			c.value(path+"."+name, sub, member)
		case s.Additional != nil:
			c.value(path+"."+name, *s.Additional, member)
		default:
			c.fail(path+"."+name, "is not in the contract")
		}
	}
}

func (c *check) array(path string, s schema, v []any) {
	if len(v) < s.MinItems || s.MaxItems > 0 && len(v) > s.MaxItems {
		c.fail(path, "has %d items", len(v))
	}
	if s.Items == nil {
		return
	}
	for i, member := range v {
		c.value(fmt.Sprintf("%s[%d]", path, i), *s.Items, member)
	}
}
