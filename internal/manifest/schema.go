package manifest

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

// enums are the values of types that have only a few.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[catalogue.Sharing]():      {string(catalogue.SharedAdmins), string(catalogue.SharedContributors)},
	reflect.TypeFor[catalogue.LeaverPolicy](): {string(catalogue.LeaversUnmark), string(catalogue.LeaversKeep)},
	reflect.TypeFor[contact.EmptyPolicy]():    {string(contact.EmptyKeep), string(contact.EmptyClear)},
	reflect.TypeFor[contact.UndatedOptOuts](): {string(contact.UndatedFirstSeen), string(contact.UndatedIgnore)},
	reflect.TypeFor[catalogue.Condition]():    conditionNames(),
	reflect.TypeFor[contact.Refusals]():       {string(contact.RefusalsOptOut), string(contact.RefusalsNone)},
}

func conditionNames() []string {
	var names []string
	for _, c := range catalogue.Conditions {
		names = append(names, string(c))
	}
	return names
}

// descriptions are what an editor says of a field.
var descriptions = map[string]string{ //nolint:gosec // texts about credentials, none of them
	"source/kind":        "kind of the source",
	"source/owner":       "who answers for it, and may read from it whether it is shared or not",
	"source/shared":      "who besides administrators may read from it",
	"source/files":       "where the files are, of a source of the kind files",
	"source/dataverse":   "the environment of Customer Insights, of a source of the kind dataverse",
	"source/postgres":    "the database, of a source of the kind postgres",
	"source/credential":  "how it logs in: env:NAME or file:NAME of every worker, or stored",
	"connection/shared":  "who besides administrators may make exports on it",
	"connection/api_key": "where its API key is: env:NAME or file:NAME of every worker, or stored",
	"connection/share":   "part of the brand's calls a minute that exports may use, above 0 to 1",

	"connection/brand_id":         "id of the Omnisend brand that the connection is bound to",
	"connection/calls_per_minute": "the brand's limit in calls a minute",
	"connection/max_contacts":     "the most contacts of one export, after the contract with Omnisend",

	"export/connection":         "name of the connection to send through; left out, the export is inactive",
	"export/source":             "name of the source to read from",
	"export/segments":           "segments of the source, and the custom property that marks the members of each; left out, it is made of the name",
	"export/id":                 "field with the customer's id",
	"export/mapping":            "which field fills which attribute: email, first-name, ..., property:NAME, property:NAME:TYPE",
	"export/consent_rule":       "values of the consent field that are consent and opt-out, where they are not the usual ones",
	"export/leavers":            "what happens to contacts that left",
	"schedule/every":            "days: day, mon,thu or month:1,15",
	"schedule/at":               "times of the clock, as 06:00",
	"schedule/cron":             "in place of every and at: minute, hour, day of the month, month, day of the week",
	"schedule/zone":             "time zone of the times, as Europe/Warsaw",
	"schedule/off":              "the export does not run automatically; the times are kept",
	"refresh/every":             "days: day, mon,thu or month:1,15",
	"refresh/at":                "times of the clock, such as 06:00",
	"refresh/cron":              "in place of every and at: minute, hour, day of the month, month, day of the week",
	"refresh/zone":              "time zone of the times, such as Europe/Warsaw",
	"refresh/follow":            "source whose refresh starts the exports, in place of times",
	"refresh/off":               "the system refresh starts no runs; its times are kept",
	"alert/exports":             "names of the exports that it is about; left out, all",
	"alert/on":                  "conditions to notify about; left out, all of them, late only when a limit is set",
	"alert/rejects":             "part of the rows, from 0 to 1, above which rejects are reported; 0.05 when left out",
	"alert/late":                "time after the last complete run when an export is late, such as 26h",
	"alert/mail":                "where mail goes; used only when the alert is added",
	"alert/webhook":             "where requests go; used only when the alert is added",
	"export/empty":              "what happens at Omnisend to values that were emptied at the source",
	"export/empty_of":           "the same by attribute, where it is otherwise than empty says",
	"export/lenient_local_part": "take addresses with doubled or trailing dots before the @, as Japanese carriers gave them out",
	"export/time_zone":          "IANA time zone of dates that name none, where it is another one than the source's",
	"export/date_format":        "how dates are written, where it is otherwise than the source says",
	"source/time_zone":          "IANA time zone of dates that name none, as Europe/Warsaw; UTC when left out",
	"source/date_format":        "how dates are written: iso, dmy, mdy, excel, epoch, or a layout such as dd/MM/yyyy; left out, what has only one meaning is read",
	"export/guards":             "thresholds, from 0 to 1, that differ from the usual ones",
}

// Schema is the JSON Schema of one document, for editors.
func Schema() ([]byte, error) {
	var choices []any
	for _, kind := range Kinds {
		spec := objectSchema(specFields(kind), string(kind)+"/")
		choices = append(choices, map[string]any{
			"type": "object", "required": []string{"kind", "name", "spec"}, "additionalProperties": false,
			"properties": map[string]any{
				"kind": map[string]any{"const": kind},
				"name": map[string]any{"type": []string{"string", "number", "boolean"}, "minLength": 1, "maxLength": 100}, // 2027 is a name too
				"spec": spec,
			},
		})
	}
	out, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Configuration of Segment Export for Omnisend: one document",
		"oneOf":   choices,
	}, "", "  ")
	return append(out, '\n'), err
}

func objectSchema(fields []field, path string) map[string]any {
	properties := map[string]any{}
	for _, f := range fields {
		s := typeSchema(f.kind)
		if text := descriptions[path+f.name]; text != "" {
			s["description"] = text
		}
		properties[f.name] = s
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func typeSchema(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if values := enums[t]; len(values) > 0 {
		return map[string]any{"type": "string", "enum": values}
	}
	if t == reflect.TypeFor[time.Time]() {
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return objectSchema(fieldsOf(t, nil), "")
	case reflect.Slice:
		return map[string]any{"type": "array", "items": typeSchema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": typeSchema(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}
