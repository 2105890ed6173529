package console

import (
	"net/http"
	"slices"
)

// policy lets a page load from the console alone, and run no script that
// stands in the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// maxForm is the largest body of a form, in bytes.
const maxForm = 1 << 20

// protect keeps other sites away from the pages.
func (c *Console) protect(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if c.TLS {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !slices.Contains(c.Hosts, r.Host) {
			http.Error(w, "This address is not one of the console's.", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		cross.Handler(next).ServeHTTP(w, r)
	})
}
