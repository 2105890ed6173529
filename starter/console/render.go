package console

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/run"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var embedded embed.FS

// staticAge is how long browsers may keep what pages are styled with.
const staticAge = "public, max-age=3600"

func staticFiles() http.Handler {
	files, err := fs.Sub(embedded, "static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", staticAge)
		server.ServeHTTP(w, r)
	})
}

// pages are the parsed templates.
type pages struct {
	parsed map[string]*template.Template // by name; never executed, so that they can be cloned

	mu    sync.Mutex
	ready map[string]*template.Template // by name and time zone
}

// mostReady is how many templates are kept ready: those of all pages in some
// dozens of time zones.
const mostReady = 1000

// layout is the frame of every page; parts are shared by several.
const (
	layout = "templates/layout.html"
	parts  = "templates/parts.html"
)

func readPages(t texts) (*pages, error) {
	frame, err := template.New("layout.html").Funcs(functions(t, time.UTC)).ParseFS(templateFiles, layout, parts)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, file := range files {
		if file == layout || file == parts {
			continue
		}
		page, err := template.Must(frame.Clone()).ParseFS(templateFiles, file)
		if err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")] = page
	}
	return &pages{parsed: all, ready: map[string]*template.Template{}}, nil
}

// render writes a page with its times in the zone.
func (p *pages) render(w io.Writer, name string, v view, zone *time.Location) error {
	return p.part(w, name, "layout.html", v, zone)
}

// part writes one template of a page.
func (p *pages) part(w io.Writer, name, template string, v any, zone *time.Location) error {
	page, err := p.in(name, zone)
	if err != nil {
		return err
	}
	return page.ExecuteTemplate(w, template, v)
}

// in returns a page's template with the times of a zone. Making one takes
// longer than executing it.
func (p *pages) in(name string, zone *time.Location) (*template.Template, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := name + " " + zone.String()
	if page, ok := p.ready[key]; ok {
		return page, nil
	}
	page, ok := p.parsed[name]
	if !ok {
		return nil, fmt.Errorf("no page %q", name)
	}
	page, err := page.Clone()
	if err != nil {
		return nil, err
	}
	if len(p.ready) >= mostReady {
		clear(p.ready)
	}
	p.ready[key] = page.Funcs(zoned(zone))
	return p.ready[key], nil
}

// zoned are the functions that depend on the viewer's time zone.
func zoned(zone *time.Location) template.FuncMap {
	return template.FuncMap{
		"time": func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.In(zone).Format("2 Jan 2006, 15:04 MST")
		},
		"day":  func(t time.Time) string { return t.In(zone).Format("Mon 2 Jan") },
		"hour": func(t time.Time) string { return t.In(zone).Format("15:04") },
		"zone": zone.String,
	}
}

func functions(t texts, zone *time.Location) template.FuncMap {
	f := template.FuncMap{
		"t":       t.say,
		"reason":  func(code string) string { return t.named("reason", code) },
		"advice":  func(code string) string { return contact.Reason(code).Advice() },
		"named":   t.named,
		"count":   count,
		"plural":  func(n int, one, many string) string { return plural(t, n, one, many) },
		"percent": percent,
		"largest": largest,
		"url":     func(parts ...string) string { return address(parts...) },
		"state":   func(s run.Status) string { return stateClass(s) },
		"ago":     func(now, at time.Time) string { return humanize.RelTime(at, now, "ago", "from now") },
		"seconds": func(s float64) string { return duration(time.Duration(s * float64(time.Second))) },
		"long":    duration,
		"deref":   func(t *time.Time) time.Time { return *t },
		"add":     func(a, b int) int { return a + b },
		"first":   func(n int, list []string) []string { return list[:min(n, len(list))] },
		"join":    strings.Join,
		"dict":    dict,
		"share":   func(part float64) string { return strconv.FormatFloat(part*100, 'f', -1, 64) },
		// Lists that forms choose from.
		"weekdays": func() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} },
		"kinds":    func() []string { return catalogue.SourceTypes },
		"tlsmodes": func() []string { return []string{"verify-full", "verify-ca", "require", "disable"} },
		"auths":    func() []string { return []string{"secret", "certificate", "managed-identity", "azure-cli"} },
	}
	maps.Copy(f, zoned(zone))
	return f
}

// dict makes a map of names and values, for templates that take several.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is not a name", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

func count(n int) string { return humanize.Comma(int64(n)) }

func plural(t texts, n int, one, many string) string {
	if n == 1 {
		return "1 " + t.say(one)
	}
	return count(n) + " " + t.say(many)
}

// percent is the whole percentage that n is of all, at most 100.
func percent(n, all int) int {
	if all <= 0 {
		return 0
	}
	return min(100, n*100/all)
}

// number is a count with its name.
type number struct {
	Name  string
	Count int
}

// largest lists counts, the largest first.
func largest(m map[string]int) []number {
	list := make([]number, 0, len(m))
	for name, n := range m {
		list = append(list, number{name, n})
	}
	slices.SortFunc(list, func(a, b number) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// address joins escaped parts to the path of a page.
func address(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// stateClass is the colour of a status; its words stand beside it.
func stateClass(s run.Status) string {
	switch s {
	case run.Completed:
		return "good"
	case run.CompletedWithRejects, run.Skipped, run.Canceled:
		return "warn"
	case run.Failed, run.Expired:
		return "bad"
	case run.Parked, run.Paused:
		return "ask"
	}
	return "busy"
}

// duration is a time span in the two largest units that matter.
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
