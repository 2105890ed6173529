package postgrestest

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Relay stands between a client and a server, at a port of 127.0.0.1, and can
// do what networks do: cut connections, or carry nothing any more.
type Relay struct {
	Host string
	Port int

	server string // the server's socket
	mu     sync.Mutex
	after  int64 // how many bytes of the server's are carried; -1: all
	then   func(client *net.TCPConn)
	open   []net.Conn
	closed bool
}

// NewRelay serves a database's address at another. It ends with the test.
func NewRelay(t testing.TB, dsn string) *Relay {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, after: -1, server: filepath.Join(c.Host, ".s.PGSQL.5432")}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { r.carry(client.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		r.closed = true
		for _, c := range r.open {
			_ = c.Close()
		}
		r.mu.Unlock()
		served.Wait()
	})
	return r
}

// Through makes each connection from now on carry so many bytes of the server's
// and then do something; -1 makes it carry all.
func (r *Relay) Through(bytes int64, then func(client *net.TCPConn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after, r.then = bytes, then
}

// What a connection can do that carries nothing any more.

// Cut ends it as when the other side has gone.
func Cut(client *net.TCPConn) { _ = client.Close() }

// Reset breaks it off.
func Reset(client *net.TCPConn) {
	_ = client.SetLinger(0)
	_ = client.Close()
}

// Silent leaves it as it is: nothing comes any more, and nothing says so.
func Silent(*net.TCPConn) {}

func (r *Relay) carry(client *net.TCPConn) {
	server, err := net.Dial("unix", r.server)
	if err != nil {
		_ = client.Close()
		return
	}
	r.mu.Lock()
	after, then := r.after, r.then
	r.open = append(r.open, client, server)
	if r.closed {
		_, _ = client.Close(), server.Close()
	}
	r.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	if after < 0 {
		_, err = io.Copy(client, server)
	} else {
		_, err = io.CopyN(client, server, after)
	}
	if after >= 0 && err == nil {
		then(client)
	} else {
		_ = client.Close()
	}
	up.Wait()
}
