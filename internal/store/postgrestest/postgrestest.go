// Package postgrestest starts a PostgreSQL of its own for a package's tests and
// gives each test a database. It needs Debian's package postgresql, whose own
// cluster it leaves alone.
//
//	func TestMain(m *testing.M) { postgrestest.Main(m) }
//	func TestX(t *testing.T) { dsn := postgrestest.Database(t) }
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/segment-export/segment-export/internal/processtest"
)

// Server is a running PostgreSQL that nobody else uses.
type Server struct {
	// Port is of 127.0.0.1 for a server that listens there, and of the socket.
	Port int

	dir       string
	process   *processtest.Process
	databases atomic.Int64
}

// one is the server of this test program, started by the first test that needs
// it.
var one struct {
	start  sync.Once
	server *Server
	err    error
}

// Main runs a package's tests and stops the server afterwards. The tests are
// *testing.M, or what starts other servers around it.
func Main(m interface{ Run() int }) {
	code := m.Run()
	if one.server != nil {
		if err := one.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping PostgreSQL:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Database makes an empty database on this test program's server and returns
// its address. It is removed with the server. Without PostgreSQL on this
// machine the test fails. With -short it is skipped.
func Database(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	one.start.Do(func() { one.server, one.err = Start() })
	if one.err != nil {
		t.Fatal(one.err)
	}
	dsn, err := one.server.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Start makes a cluster in a temporary directory and starts it. It can be
// reached only through a socket in that directory. It ends at the latest with
// this process.
func Start() (*Server, error) {
	return start(5432, nil, []string{"-c", "listen_addresses="})
}

// StartTLS is Start for a server that also listens on 127.0.0.1, at a free
// port, with TLS and that certificate and key (PEM).
func StartTLS(certificate, key []byte) (*Server, error) {
	return startListening(map[string][]byte{
		"server.crt": certificate, "server.key": key, "postgresql.auto.conf": []byte("ssl = on\n"),
	}, "-c", "ssl_cert_file=server.crt", "-c", "ssl_key_file=server.key")
}

// StartTCP is Start for a server that also listens on 127.0.0.1, at a free
// port, and asks for passwords there.
func StartTCP() (*Server, error) {
	return startListening(map[string][]byte{"pg_hba.conf": []byte("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")})
}

func startListening(files map[string][]byte, settings ...string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	return start(port, files, append(settings, "-c", "listen_addresses=127.0.0.1"))
}

// start makes a cluster with these files in it and starts it.
func start(port int, files map[string][]byte, settings []string) (*Server, error) {
	postgres, err := program("postgres")
	if err != nil {
		return nil, err
	}
	initdb, err := program("initdb")
	if err != nil {
		return nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	// A short path: that of a socket may have about 100 bytes.
	dir, err := os.MkdirTemp("/tmp", "postgrestest-")
	if err != nil {
		return nil, err
	}
	s := &Server{Port: port, dir: dir}
	err = s.prepare(initdb, account)
	for name, content := range files {
		if err == nil {
			err = s.Write(name, content)
		}
	}
	if err == nil {
		err = s.run(postgres, account, settings)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting PostgreSQL for tests: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

// program finds a program of PostgreSQL's server, which Debian keeps out of the
// PATH; the newest version when there are several.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return number
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) == 0 {
		return "", errors.New("these tests need PostgreSQL's server (" + name + "): install Debian's package postgresql")
	}
	return found[0], nil
}

// unprivileged returns the account to run the server as: nil for our own. The
// server refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // no other account is needed
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("as root the tests run PostgreSQL as the user of Debian's package postgresql: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) prepare(initdb string, account *syscall.Credential) error {
	if account != nil {
		if err := os.Chown(s.dir, int(account.Uid), int(account.Gid)); err != nil {
			return err
		}
	}
	cmd := s.command(account, initdb, "--pgdata", s.data(), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(output))
	}
	return nil
}

// Write puts a file into the cluster, in place of one of that name, that only
// the server can read. The server takes it at its next reload.
func (s *Server) Write(name string, content []byte) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := unprivileged()
	if err != nil {
		return err
	}
	return os.Chown(path, int(account.Uid), int(account.Gid))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(account *syscall.Credential, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LANG=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	return cmd
}

// run starts the server and returns when it takes connections.
func (s *Server) run(postgres string, account *syscall.Credential, settings []string) error {
	args := append([]string{"-D", s.data(), "-k", s.dir, "-p", strconv.Itoa(s.Port)}, settings...)
	cmd := s.command(account, postgres, append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB")...)
	var err error
	s.process, err = processtest.Start(cmd, syscall.SIGQUIT, func(line string) bool {
		return strings.Contains(line, "database system is ready to accept connections")
	})
	return err
}

// Database makes an empty database and returns its address.
func (s *Server) Database(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return "", err
	}
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return "", err
	}
	return s.DSN(name), nil
}

// DSN is the address of the database of that name for the superuser, who needs
// no password.
func (s *Server) DSN(database string) string {
	return "host=" + s.dir + " port=" + strconv.Itoa(s.Port) + " user=postgres dbname=" + database
}

// Stop ends the server without ceremony and removes its directory.
func (s *Server) Stop() error {
	return errors.Join(s.process.Stop(), os.RemoveAll(s.dir))
}
