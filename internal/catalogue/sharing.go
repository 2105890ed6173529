package catalogue

import "fmt"

// Sharing says who besides administrators may use a connection or a source. The
// zero value is SharedAdmins.
type Sharing string

// The kinds of sharing.
const (
	SharedAdmins       Sharing = "admins"
	SharedContributors Sharing = "admins-and-contributors"
)

// ParseSharing reads what a user typed; empty is SharedAdmins.
func ParseSharing(text string) (Sharing, error) {
	switch s := Sharing(text); s {
	case "":
		return SharedAdmins, nil
	case SharedAdmins, SharedContributors:
		return s, nil
	}
	return "", invalid("%q is neither %s nor %s", text, SharedAdmins, SharedContributors)
}

// String returns the words that people see.
func (s Sharing) String() string {
	if s == "" {
		return string(SharedAdmins)
	}
	return string(s)
}

// Object is anything of the catalogue.
type Object interface {
	Head() *Meta
	Kind() Kind
}

// Head returns what every object carries.
func (m *Meta) Head() *Meta { return m }

// Kind returns KindSource.
func (*Source) Kind() Kind { return KindSource }

// Kind returns KindConnection.
func (*Connection) Kind() Kind { return KindConnection }

// Kind returns KindExport.
func (*Export) Kind() Kind { return KindExport }

// Outline is what those see of a connection who may use it and not hold it:
// its name and kind.
func (c *Connection) Outline() Connection {
	return Connection{Meta: Meta{Name: c.Name}, Type: c.Type}
}

// Outline is what those see of a source who may use it and not hold it.
func (s *Source) Outline() Source {
	return Source{Meta: Meta{Name: s.Name}, Type: s.Type}
}

// Owner is whom the export's runs act as.
func (e *Export) Owner() string {
	if e.RunAs != "" {
		return e.RunAs
	}
	return e.UpdatedBy
}

// New returns an empty object of a kind.
func New(kind Kind) (Object, error) {
	switch kind {
	case KindSource:
		return &Source{}, nil
	case KindConnection:
		return &Connection{}, nil
	case KindExport:
		return &Export{}, nil
	case KindAlert:
		return &Alert{}, nil
	case KindSchedule:
		return &Schedule{}, nil
	case KindRefresh:
		return &Refresh{}, nil
	}
	return nil, fmt.Errorf("%q is not the kind of an object", kind)
}
