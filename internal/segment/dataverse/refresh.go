package dataverse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/segment"
)

// metadata is what the private table says of a segment. Its payload has no
// public description: it is read with the names that Customer Insights' own API
// uses, letter case does not count, and whatever is missing is unknown.
type metadata struct {
	Name       string `json:"name"` // of its output table
	Title      string `json:"friendlyName"`
	Evaluation struct {
		Status json.RawMessage `json:"jobStatus"` // a word, or its number
		At     string          `json:"evaluationDate"`
		Count  *int64          `json:"entityCount"`
		Run    string          `json:"lastSuccessfulRunId"`
	} `json:"evaluationStatus"`
}

func (m *metadata) info() segment.Info {
	info := segment.Info{Name: m.Name, Title: m.Title, Members: m.Evaluation.Count}
	if at, err := time.Parse(time.RFC3339, m.Evaluation.At); err == nil {
		info.RefreshedAt = at.UTC()
	}
	return info
}

// running tells whether the segment is being refreshed, or about to be:
// "queued" waits for the sources and profiles of the same refresh.
func (m *metadata) running() bool {
	status := strings.Trim(string(m.Evaluation.Status), `"`)
	if n, err := strconv.Atoi(status); err == nil {
		return n == 1 || n == 2
	}
	return strings.EqualFold(status, "Queued") || strings.EqualFold(status, "Running")
}

// mostMetadataPages bounds the list of segments, of 500 a page; Customer
// Insights has far fewer.
const mostMetadataPages = 100

// segmentsMetadata lists the segments. ok is false when the private table may
// not be read, or is not there.
func (c *client) segmentsMetadata(ctx context.Context) (all []metadata, ok bool, err error) {
	link := c.address(metadataTable+"s", "$select", "msdyn_name,mscipriv_payload1,mscipriv_payload2",
		"$filter", "msdyn_isdeleted ne true and msdyn_ishistoryentry ne true")
	columns := []string{"msdyn_name", "mscipriv_payload1", "mscipriv_payload2"}
	for pages := 0; link != ""; pages++ {
		if pages == mostMetadataPages {
			return nil, false, nil
		}
		var page []metadata
		var next string
		_, err := c.get(ctx, request{url: link, page: 500, table: metadataTable}, func(body io.Reader) error {
			page = page[:0]
			var err error
			next, err = readPage(body, columns, func(values []string, _ segment.Problem) error {
				page = append(page, parseMetadata(values[0], values[1], values[2]))
				return nil
			})
			return err
		})
		if unavailable(err) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		all = append(all, page...)
		if next == link || next != "" && !c.ours(next) {
			return nil, false, nil
		}
		link = next
	}
	slices.SortFunc(all, func(a, b metadata) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b metadata) bool { return a.Name == b.Name }), true, nil
}

// unavailable tells whether a query is refused in a way that something better
// not depended upon is simply not to be had.
func unavailable(err error) bool {
	_, hidden := errors.AsType[*forbiddenError](err)
	return hidden || isRefusal(err, http.StatusBadRequest, http.StatusNotFound, http.StatusNotImplemented) || errors.Is(err, segment.ErrMalformed)
}

// parseMetadata reads a row of the private table. A payload too long for one
// column continues in the second.
func parseMetadata(name, payload1, payload2 string) metadata {
	var m metadata
	if json.Unmarshal([]byte(payload1), &m) != nil {
		m = metadata{}
		if json.Unmarshal([]byte(payload1+payload2), &m) != nil {
			m = metadata{}
		}
	}
	if m.Name == "" {
		m.Name = name
	}
	return m
}

// state is what shows whether a segment has changed between two looks.
type state struct {
	known    bool // the private table lists it
	run      string
	running  bool
	members  string // when a row of the table was last written; empty when unknown
	profiles string
	now      time.Time // by the server's clock
}

// look finds out where a segment stands.
func (s *Source) look(ctx context.Context, name string, t *tables) (state, error) {
	var st state
	all, _, err := s.client.segmentsMetadata(ctx)
	if err != nil {
		return st, err
	}
	if i := slices.IndexFunc(all, func(m metadata) bool { return m.Name == name }); i >= 0 {
		st.known = true
		st.running = all[i].running()
		st.run = all[i].Evaluation.Run + " " + all[i].Evaluation.At
	}
	if st.members, st.now, err = s.lastWritten(ctx, t.members); err != nil {
		return st, err
	}
	var now time.Time
	if st.profiles, now, err = s.lastWritten(ctx, t.profiles); err != nil {
		return st, err
	}
	if !now.IsZero() {
		st.now = now
	}
	return st, nil
}

// lastWritten returns when a row of a table was last written; empty when the
// table cannot tell, or has no rows.
func (s *Source) lastWritten(ctx context.Context, t *table) (at string, now time.Time, err error) {
	if !slices.Contains(t.columns, modifiedOn) {
		return "", time.Time{}, nil
	}
	address := s.client.address(t.set, "$select", modifiedOn, "$orderby", modifiedOn+" desc", "$top", "1")
	now, err = s.client.get(ctx, request{url: address, table: t.name}, func(body io.Reader) error {
		at = ""
		_, err := readPage(body, []string{modifiedOn}, func(values []string, _ segment.Problem) error {
			at = max(at, values[0])
			return nil
		})
		return err
	})
	if isRefusal(err, http.StatusBadRequest, http.StatusNotImplemented) {
		return "", time.Time{}, nil
	}
	if isRefusal(err, http.StatusNotFound) {
		err = s.client.noTable(t.name)
	}
	return at, now, err
}

// busy says how long to wait before the segment can be read: while it is
// refreshed, and until the tables have been left alone for a while, since
// profiles are still written after the segments are done.
func (st *state) busy(settle time.Duration) error {
	if st.running {
		return &segment.BusyError{Reason: "Customer Insights is refreshing the segment", RetryAfter: time.Minute}
	}
	newest := max(st.members, st.profiles)
	at, err := time.Parse(time.RFC3339, newest)
	if err != nil || settle == 0 || st.now.IsZero() {
		return nil
	}
	if wait := settle - st.now.Sub(at); wait > 0 {
		return &segment.BusyError{Reason: "Customer Insights is still writing to the tables of segments and profiles",
			RetryAfter: min(max(wait, time.Second), settle)}
	}
	return nil
}

// stamp identifies a state of the segment in a cursor.
type stamp [12]byte

func (st *state) stamp() stamp {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", st.run, st.members, st.profiles))
	return stamp(sum[:len(stamp{})])
}

// blind tells that nothing shows whether the segment has changed.
func (st *state) blind() bool {
	return strings.TrimSpace(st.run) == "" && st.members == "" && st.profiles == ""
}
