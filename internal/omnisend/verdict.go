package omnisend

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Verdict is what Omnisend did with one contact of a batch.
type Verdict struct {
	OK bool
	// Code is the HTTP status that the contact would have got if sent alone; 0
	// when Omnisend gave none.
	Code int
	// Reason is empty when OK, else the code and the complaints, as in
	// "400 identifiers[0].id invalid_format". It holds no free text and no value.
	Reason string
	// Sentence is what Omnisend said of it in words. It may quote the contact: it
	// is for sealed places only.
	Sentence string
	// Retry says that the same contact may be taken later: it was turned down
	// with 403, 408, 429 or 5xx, or without any code. (Omnisend's own
	// WooCommerce plugin sends items with 403, 408, 429 and 503 again.)
	Retry bool
}

// Verdicts are the outcomes of one batch.
type Verdicts struct {
	// ByEmail has an entry for each contact with an outcome, by its address in
	// lower case. A contact without entry has none: the batch has not ended,
	// or was stopped before its turn.
	ByEmail map[string]Verdict
	// Unmatched counts the outcomes whose echo of the contact has no address.
	Unmatched int
}

// Judge reads the outcomes out of a batch that BatchItems returned. Items are
// identified by the address in the echoed contact, never by their position or
// itemID. When an address has several outcomes, a refusal counts for more than
// a success, and a lasting refusal for more than a passing one. It is pure.
func Judge(b Batch) Verdicts {
	out := Verdicts{ByEmail: make(map[string]Verdict, len(b.Errors)+len(b.Responses))}
	for _, it := range b.Responses {
		out.add(it, false)
	}
	for _, it := range b.Errors {
		out.add(it, true)
	}
	return out
}

func (v *Verdicts) add(it Item, failed bool) {
	if it.Status == string(BatchPending) || it.Status == string(BatchInProgress) {
		return
	}
	p := parseProblem(it.Response)
	code := it.ResponseCode
	if code == 0 {
		code = p.status
	}
	if code == 0 && !failed {
		return // nothing says how it went: not an outcome
	}
	email, ok := itemEmail(it.Request)
	if !ok {
		v.Unmatched++
		return
	}
	got := verdict(code, p)
	if had, ok := v.ByEmail[email]; ok && rank(had) >= rank(got) {
		return
	}
	v.ByEmail[email] = got
}

func rank(v Verdict) int {
	switch {
	case v.OK:
		return 0
	case v.Retry:
		return 1
	default:
		return 2
	}
}

// maxReasonFields keeps a reason short enough to be counted and shown.
const maxReasonFields = 3

func verdict(code int, p problem) Verdict {
	if code >= 200 && code < 300 {
		return Verdict{OK: true, Code: code}
	}
	out := Verdict{Code: code, Sentence: p.sentence}
	switch {
	case code == 0, code >= 500, code == http.StatusForbidden,
		code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
		out.Retry = true
	}
	var b strings.Builder
	if code == 0 {
		b.WriteString("no_code")
	} else {
		b.WriteString(strconv.Itoa(code))
	}
	for i, f := range p.fields[:min(len(p.fields), maxReasonFields)] {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []string{f.Field, f.Code} {
			if part != "" {
				b.WriteByte(' ')
				b.WriteString(part)
			}
		}
	}
	out.Reason = b.String()
	return out
}

// itemEmail finds the address in the echo of a contact: as it was sent, as a
// string that holds that, or in the form of a contact that Omnisend answers.
func itemEmail(request json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(request, &text) == nil {
		request = json.RawMessage(text)
	}
	var c struct {
		Email       string `json:"email"`
		Identifiers []struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		} `json:"identifiers"`
	}
	if json.Unmarshal(request, &c) != nil {
		return "", false
	}
	for _, id := range c.Identifiers {
		if email := strings.ToLower(strings.TrimSpace(id.ID)); id.Type == "email" && email != "" {
			return email, true
		}
	}
	email := strings.ToLower(strings.TrimSpace(c.Email))
	return email, email != ""
}
