// Package e2e holds the tests of whole systems: programs as processes, a real
// Temporal server, a sandbox in place of Omnisend, PostgreSQL, a browser. What
// a smaller test can show is tested beside its code.
package e2e
