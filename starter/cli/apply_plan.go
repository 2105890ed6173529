package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/manifest"
)

// compare finds out what applying the documents changes, in the order of the
// changes: what others name comes first. It makes the checks of the commands that
// apply gives, so that a dry run finds what apply would.
func (s *session) compare(ctx context.Context, docs []manifest.Document) (*planned, error) {
	plan := &planned{Steps: []*step{}}
	there := map[catalogue.Kind]map[string]json.RawMessage{}
	for _, kind := range manifest.Kinds {
		// Every document may name one of these; the others are read when one is in
		// the file.
		always := kind == catalogue.KindSource || kind == catalogue.KindConnection || kind == catalogue.KindExport
		if !always && !slices.ContainsFunc(docs, func(d manifest.Document) bool { return d.Kind == kind }) {
			continue
		}
		var err error
		if there[kind], err = s.stored(ctx, kind); err != nil {
			return nil, err
		}
	}
	for _, kind := range manifest.Kinds {
		for _, d := range docs {
			if d.Kind != kind {
				continue
			}
			st, err := newStep(d, there[kind][d.Name])
			if err != nil {
				return nil, err
			}
			if st.problem == "" {
				st.problem = unknownUse(d, docs, there)
			}
			if st.problem == "" && kind == catalogue.KindExport && st.Action != actionNone {
				if st.problem, err = s.checkExport(ctx, st, plan, there); err != nil {
					return nil, err
				}
			}
			if st.Action != actionNone {
				plan.Changes++
			}
			plan.Steps = append(plan.Steps, st)
		}
	}
	return plan, nil
}

// objects reads all objects of a kind, by name.
func (s *session) objects(ctx context.Context, kind catalogue.Kind) (map[string]json.RawMessage, error) {
	raw, err := s.call(ctx, order{name: string(kind) + " list"})
	if err != nil {
		return nil, err
	}
	var all []json.RawMessage
	if err := decode(raw, &all); err != nil {
		return nil, err
	}
	byName := map[string]json.RawMessage{}
	for _, one := range all {
		var m catalogue.Meta
		if err := decode(one, &m); err != nil {
			return nil, err
		}
		byName[m.Name] = one
	}
	return byName, nil
}

// whole says that an object becomes exactly what its document says; of others
// only what is said is changed.
func whole(kind catalogue.Kind) bool {
	return kind != catalogue.KindSource && kind != catalogue.KindConnection
}

// newStep compares a document with the object that is there, if one is.
func newStep(d manifest.Document, object json.RawMessage) (*step, error) {
	st := &step{Kind: d.Kind, Name: d.Name, Action: actionAdd, doc: d}
	var err error
	if d.Kind == catalogue.KindExport {
		var spec catalogue.ExportSpec
		if err := json.Unmarshal(d.Spec, &spec); err != nil {
			return nil, err
		}
		spec.Normalise()
		raw, err := json.Marshal(spec)
		if err != nil {
			return nil, err
		}
		st.doc.Spec = raw
	}
	if d.Kind == catalogue.KindAlert {
		if st.doc.Spec, err = alertSpec(d.Spec); err != nil {
			return nil, err
		}
	}
	before := json.RawMessage("{}")
	if object != nil {
		st.Action = actionChange
		var m catalogue.Meta
		if err := decode(object, &m); err != nil {
			return nil, err
		}
		st.version = m.Version
		now, err := manifest.Of(d.Kind, object)
		if err != nil {
			return nil, err
		}
		before = now.Spec
		if !whole(d.Kind) {
			if before, err = only(before, st.doc.Spec); err != nil {
				return nil, err
			}
		}
	}
	after := st.doc.Spec
	if d.Kind == catalogue.KindAlert && object != nil {
		if after, err = without(after, "mail", "webhook"); err != nil {
			return nil, err
		}
	}
	if st.Differences, err = manifest.Differences(before, after); err != nil {
		return nil, err
	}
	if object != nil && len(st.Differences) == 0 {
		st.Action = actionNone
	}
	if st.problem = st.impossible(); st.problem == "" && d.Kind == catalogue.KindAlert {
		st.problem, err = alertProblem(st, object)
	}
	return st, err
}

// only keeps of a spec what another one speaks of.
func only(spec, like json.RawMessage) (json.RawMessage, error) {
	var all, wanted map[string]json.RawMessage
	if err := json.Unmarshal(spec, &all); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(like, &wanted); err != nil {
		return nil, err
	}
	kept := map[string]json.RawMessage{}
	for name, value := range all {
		if _, ok := wanted[name]; ok {
			kept[name] = value
		}
	}
	return json.Marshal(kept)
}

// keptSecret says in a spec that the secret is one that no file holds.
const keptSecret = `"stored"`

// impossible says what of a step no command can do.
func (st *step) impossible() string {
	if st.Action == actionChange {
		for _, d := range st.Differences {
			switch d.Path {
			case "kind":
				return fmt.Sprintf("it is of the kind %s: make one of another name", d.Before)
			case "brand_id":
				return fmt.Sprintf("it is bound to brand %s: make a connection of its own for another brand", d.Before)
			}
		}
	}
	if st.Kind == catalogue.KindRefresh && st.Name != manifest.RefreshName {
		return fmt.Sprintf("there is one system refresh: name it %q", manifest.RefreshName)
	}
	for _, d := range st.Differences {
		if (d.Path == "credential" || d.Path == "api_key") && string(d.After) == keptSecret {
			return fmt.Sprintf("its secret is stored at the worker and in no file: give it with starter %s add or edit first, or name a reference (env:NAME, file:NAME)", st.Kind)
		}
	}
	if st.Kind == catalogue.KindConnection && st.Action == actionAdd &&
		!slices.ContainsFunc(st.Differences, func(d manifest.Difference) bool { return d.Path == "api_key" }) {
		return fmt.Sprintf("it is new, and its API key is in no file: make it with starter connection add %q, or name a reference as its api_key (env:NAME, file:NAME)", st.Name)
	}
	return ""
}

// unknownUse says that a document names what is neither there nor in the file.
func unknownUse(d manifest.Document, docs []manifest.Document, there map[catalogue.Kind]map[string]json.RawMessage) string {
	var uses map[catalogue.Kind]string
	switch d.Kind {
	case catalogue.KindExport:
		var spec catalogue.ExportSpec
		if json.Unmarshal(d.Spec, &spec) != nil {
			return ""
		}
		uses = map[catalogue.Kind]string{catalogue.KindSource: spec.Source, catalogue.KindConnection: spec.Connection}
	case catalogue.KindSchedule:
		uses = map[catalogue.Kind]string{catalogue.KindExport: d.Name}
	case catalogue.KindRefresh:
		var spec manifest.Refresh
		if json.Unmarshal(d.Spec, &spec) != nil {
			return ""
		}
		uses = map[catalogue.Kind]string{catalogue.KindSource: spec.Follow}
	case catalogue.KindAlert:
		var spec manifest.Alert
		if json.Unmarshal(d.Spec, &spec) != nil {
			return ""
		}
		for _, name := range spec.Exports {
			if problem := unknown(catalogue.KindExport, name, docs, there); problem != "" {
				return problem
			}
		}
	}
	for kind, name := range uses {
		if problem := unknown(kind, name, docs, there); problem != "" {
			return problem
		}
	}
	return ""
}

func unknown(kind catalogue.Kind, name string, docs []manifest.Document, there map[catalogue.Kind]map[string]json.RawMessage) string {
	_, exists := there[kind][name]
	inFile := slices.ContainsFunc(docs, func(o manifest.Document) bool { return o.Kind == kind && o.Name == name })
	if name != "" && !exists && !inFile {
		return fmt.Sprintf("there is no %s %q, here or in the file", kind, name)
	}
	return ""
}

// order is the command of a step: its arguments are the spec's fields beside
// the object's name.
func (st *step) order(agree bool) (order, error) {
	var args map[string]json.RawMessage
	if err := json.Unmarshal(st.doc.Spec, &args); err != nil {
		return order{}, err
	}
	set := func(name string, value any) {
		raw, err := json.Marshal(value)
		if err != nil {
			panic(fmt.Sprintf("a %T is not JSON: %v", value, err))
		}
		args[name] = raw
	}
	set("name", st.Name)
	for _, secret := range []string{"credential", "api_key"} {
		if string(args[secret]) == keptSecret {
			delete(args, secret) // as it is
		}
	}
	verb := "add"
	if st.Action == actionChange {
		verb = "edit"
		set("version", st.version)
	}
	switch {
	case st.Kind == catalogue.KindConnection && st.Action == actionAdd:
		set("agree", agree)
		if brand, ok := args["brand_id"]; ok {
			args["brand"] = brand
		}
		delete(args, "brand_id")
		delete(args, "kind")
	case st.Kind != catalogue.KindExport && st.Action == actionChange:
		delete(args, "brand_id")
		delete(args, "kind")
	}
	return order{name: string(st.Kind) + " " + verb, args: args, object: st.Name}, nil
}
