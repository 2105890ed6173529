package e2e

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire carries connections to a server, and stands still or breaks once so many
// bytes have come back through it.
type wire struct {
	listener net.Listener
	network  string // where the server is
	server   string
	running  sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
	came   int64         // bytes that came back
	still  int64         // at which it stands still; 0: never
	held   chan struct{} // closed when it does
	free   chan struct{} // closed when it continues; nil while it does
}

// newWire makes a wire to a server.
func newWire(t *testing.T, network, server string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{listener: listener, network: network, server: server, open: map[net.Conn]struct{}{}}
	w.running.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

// port is where it listens, on 127.0.0.1.
func (w *wire) port() int { return w.listener.Addr().(*net.TCPAddr).Port }

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial(w.network, w.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.open[client], w.open[server] = struct{}{}, struct{}{}
		closed := w.closed
		w.mu.Unlock()
		end := func() { w.drop(client, server) }
		if closed {
			end()
			return
		}
		w.running.Go(func() { defer end(); w.carry(server, client, func(int) {}) })
		w.running.Go(func() { defer end(); w.carry(client, server, w.pass) })
	}
}

// carry copies what comes from one end until either is closed.
func (w *wire) carry(to, from net.Conn, before func(n int)) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		before(n)
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

// pass counts bytes that are about to arrive, and waits while the wire stands
// still.
func (w *wire) pass(n int) {
	w.mu.Lock()
	w.came += int64(n)
	if w.still > 0 && w.came >= w.still {
		w.still, w.free = 0, make(chan struct{})
		close(w.held)
	}
	free := w.free
	w.mu.Unlock()
	if free != nil {
		<-free
	}
}

func (w *wire) drop(ends ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range ends {
		_ = end.Close()
		delete(w.open, end)
	}
}

// count returns how many bytes came back since it was last asked.
func (w *wire) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.came
	w.came = 0
	return n
}

// hold makes the wire stand still once so many more bytes have come back, and
// closes the channel then.
func (w *wire) hold(bytes int64) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still, w.held = w.came+bytes, make(chan struct{})
	return w.held
}

// release lets it continue.
func (w *wire) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free != nil {
		close(w.free)
		w.free = nil
	}
	w.still = 0
}

// cut resets all connections, and lets new ones through.
func (w *wire) cut() {
	w.mu.Lock()
	for end := range w.open {
		if tcp, ok := end.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = end.Close()
	}
	w.mu.Unlock()
	w.release()
}

func (w *wire) close() {
	_ = w.listener.Close()
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cut()
	w.running.Wait()
}
