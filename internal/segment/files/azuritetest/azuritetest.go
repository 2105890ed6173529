// Package azuritetest starts Azurite, Microsoft's own emulator of Azure Blob
// Storage, for a package's tests and gives each test a container. It needs
// Node.js; `make tools` installs Azurite.
//
//	func TestMain(m *testing.M) { azuritetest.Main(m) }
//	func TestX(t *testing.T) { container := azuritetest.New(t) }
package azuritetest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/segment-export/segment-export/internal/processtest"
)

// Account is the storage account that there is.
const Account = "segments"

// Server is a running Azurite that nobody else uses.
type Server struct {
	Endpoint string // of the account
	Key      string // of the account

	dir        string
	process    *processtest.Process
	client     *azblob.Client
	containers atomic.Int64
}

// one is the server of this test program, started by the first test that needs
// it.
var one struct {
	start  sync.Once
	server *Server
	err    error
}

// Main runs a package's tests and stops the server afterwards.
func Main(m *testing.M) { os.Exit(Around(m).Run()) }

// Runner is what runs a package's tests: *testing.M, or another Runner.
type Runner interface{ Run() int }

// Around is Main for a package that needs other servers too, each with a Runner
// of its own.
func Around(m Runner) Runner { return around{m} }

type around struct{ Runner }

// Run runs the tests, stops the server and returns the exit code.
func (a around) Run() int {
	code := a.Runner.Run()
	if one.server != nil {
		if err := one.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping Azurite:", err)
			code = max(code, 1)
		}
	}
	return code
}

// Container is a container of the test program's server.
type Container struct {
	*Server
	*container.Client

	Name string
}

// New makes an empty container on this test program's server. It goes away with
// the server. Without Azurite on this machine the test fails. With -short it is
// skipped.
func New(t testing.TB) *Container {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Azurite")
	}
	one.start.Do(func() { one.server, one.err = Start() })
	if one.err != nil {
		t.Fatal(one.err)
	}
	name := "test" + strconv.FormatInt(one.server.containers.Add(1), 10)
	if _, err := one.server.client.CreateContainer(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	return &Container{Server: one.server, Client: one.server.client.ServiceClient().NewContainerClient(name), Name: name}
}

// Put writes a blob.
func (c *Container) Put(t testing.TB, name string, data []byte) {
	t.Helper()
	if _, err := c.NewBlockBlobClient(name).UploadBuffer(t.Context(), data, nil); err != nil {
		t.Fatal(err)
	}
}

// Remove deletes a blob.
func (c *Container) Remove(t testing.TB, name string) {
	t.Helper()
	if _, err := c.NewBlobClient(name).Delete(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// Start starts Azurite on a free port of this machine, with a temporary
// directory. It ends at the latest with this process.
func Start() (*Server, error) { return start() }

// StartTLS starts one that takes tokens of Microsoft Entra too, over TLS only,
// with the certificate and key in those PEM files. It believes every token that
// is well made and not expired.
func StartTLS(certificate, key string) (*Server, error) {
	return start("--oauth", "basic", "--cert", certificate, "--key", key)
}

func start(options ...string) (*Server, error) {
	program, err := program()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "azuritetest-")
	if err != nil {
		return nil, err
	}
	key := make([]byte, 64)
	_, _ = rand.Read(key) // never fails
	s := &Server{dir: dir, Key: base64.StdEncoding.EncodeToString(key)}
	if err := s.run(program, options); err != nil {
		return nil, errors.Join(fmt.Errorf("starting Azurite for tests: %w", err), os.RemoveAll(dir))
	}
	if len(options) > 0 {
		return s, nil // clients that trust its certificate log in
	}
	return s, s.login()
}

// program finds Azurite where `make tools` puts it, or on the PATH.
func program() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(folder)
		if up == folder {
			break
		}
		folder = up
	}
	installed := filepath.Join(folder, ".tools", "azurite", "node_modules", ".bin", "azurite-blob")
	if _, err := os.Stat(installed); err == nil {
		return installed, nil
	}
	onPath, err := exec.LookPath("azurite-blob")
	if err != nil {
		return "", errors.New("these tests need Azurite: install Node.js and run `make tools`")
	}
	return onPath, nil
}

var listens = regexp.MustCompile(`listens on (https?://127\.0\.0\.1:\d+)`)

// run starts the server and returns when it takes requests.
func (s *Server) run(program string, options []string) error {
	options = append([]string{"--blobHost", "127.0.0.1", "--blobPort", "0", "--location", s.dir,
		"--silent", "--skipApiVersionCheck", "--disableTelemetry"}, options...)
	cmd := exec.Command(program, options...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+Account+":"+s.Key)
	var err error
	s.process, err = processtest.Start(cmd, syscall.SIGKILL, func(line string) bool {
		found := listens.FindStringSubmatch(line)
		if found != nil {
			s.Endpoint = found[1] + "/" + Account
		}
		return found != nil
	})
	return err
}

func (s *Server) login() error {
	key, err := azblob.NewSharedKeyCredential(Account, s.Key)
	if err != nil {
		return err
	}
	s.client, err = azblob.NewClientWithSharedKeyCredential(s.Endpoint, key, nil)
	return err
}

// Stop ends the server and removes its directory.
func (s *Server) Stop() error {
	return errors.Join(s.process.Stop(), os.RemoveAll(s.dir))
}
