package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"crypto/rand"
	mathrand "math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.yaml.in/yaml/v3"

	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// composeFile is what of compose.yaml can be run without containers.
type composeFile struct {
	Services map[string]composeService
	Configs  map[string]struct{ Content string }
}

type composeService struct {
	Environment     map[string]string
	Entrypoint      []string
	Command         []string
	Configs         []struct{ Source, Target string }
	StopGracePeriod time.Duration `yaml:"stop_grace_period"`
}

// composed is compose.yaml's topology as plain processes: the same programs,
// commands, variables and settings, with this machine's addresses in the place
// of the containers'.
type composed struct {
	*shop
	file     composeFile
	postgres *postgrestest.Server
	programs string            // the folder with what the images hold
	exact    map[string]string // values that are a container's name or port
	inside   *strings.Replacer // addresses inside a value
	server   *exec.Cmd         // Temporal
	ports    []string          // variables with the server's ports
}

// compose reads compose.yaml and starts its PostgreSQL.
func (s *shop) compose() *composed {
	s.t.Helper()
	password := rand.Text()
	text, err := os.ReadFile("../../compose.yaml")
	require.NoError(s.t, err)
	text = regexp.MustCompile(`\$\{POSTGRES_PASSWORD:\?[^}]*\}`).ReplaceAll(text, []byte(password))
	text = []byte(strings.ReplaceAll(string(text), "$$", "$"))
	c := &composed{shop: s, programs: s.path("programs")}
	require.NoError(s.t, yaml.Unmarshal(text, &c.file))

	require.NoError(s.t, os.Mkdir(c.programs, 0o700))
	c.postgres, err = postgrestest.StartTCP()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, c.postgres.Stop()) })
	c.place()

	// What the image does with its variables before the scripts.
	user := c.file.Services["postgres"].Environment["POSTGRES_USER"]
	c.query("postgres", "CREATE ROLE "+user+" SUPERUSER LOGIN PASSWORD '"+password+"'")
	c.query("postgres", "CREATE DATABASE "+user+" OWNER "+user)
	socket, err := pgx.ParseConfig(c.postgres.DSN(user))
	require.NoError(s.t, err)
	for _, script := range c.file.Services["postgres"].Configs {
		cmd := exec.CommandContext(s.t.Context(), "sh", "-ec", c.file.Configs[script.Source].Content)
		cmd.Env = append(c.environment("postgres"), "PGHOST="+socket.Host, "PGPORT="+strconv.Itoa(c.postgres.Port))
		output, err := cmd.CombinedOutput()
		require.NoError(s.t, err, "%s: %s", script.Target, output)
	}
	return c
}

// place chooses where the containers' addresses are on this machine.
func (c *composed) place() {
	c.t.Helper()
	const loopback = "127.0.0.1"
	port := strconv.Itoa(c.postgres.Port)
	variables := []string{"FRONTEND_GRPC_PORT", "FRONTEND_HTTP_PORT", "FRONTEND_MEMBERSHIP_PORT", "MATCHING_GRPC_PORT", "MATCHING_MEMBERSHIP_PORT",
		"HISTORY_GRPC_PORT", "HISTORY_MEMBERSHIP_PORT", "WORKER_GRPC_PORT", "WORKER_MEMBERSHIP_PORT"}
	free := freePorts(c.t, len(variables))
	for i, v := range variables {
		c.ports = append(c.ports, v+"="+free[i])
	}
	c.temporal = net.JoinHostPort(loopback, free[0])
	c.exact = map[string]string{"postgres": loopback, "5432": port, "0.0.0.0": loopback}
	c.inside = strings.NewReplacer("postgres:5432", net.JoinHostPort(loopback, port), "temporal:7233", c.temporal)
}

// freePorts finds ports that nothing listens on, below those that the kernel
// gives to outgoing connections: they stay free while their server is away.
func freePorts(t require.TestingT, n int) []string {
	var found []string
	taken := map[int]bool{}
	for len(found) < n {
		port := 10_240 + mathrand.IntN(32_768-10_240)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil || taken[port] {
			continue
		}
		require.NoError(t, l.Close())
		taken[port] = true
		found = append(found, strconv.Itoa(port))
	}
	return found
}

// environment is a service's, with what every process needs and nothing else
// of this machine's.
func (c *composed) environment(service string) []string {
	env := []string{"PATH=" + c.programs + ":/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"}
	for name, value := range c.file.Services[service].Environment {
		if there, ok := c.exact[value]; ok {
			value = there
		}
		env = append(env, name+"="+c.inside.Replace(value))
	}
	return env
}

// once runs a service that ends, as often as its restart on failure would.
func (c *composed) once(service string) {
	c.t.Helper()
	s := c.file.Services[service]
	require.NotEmpty(c.t, s.Command, service)
	line := append(append([]string{}, s.Entrypoint...), s.Command...)
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, line[0], line[1:]...)
		cmd.Env = c.environment(service)
		output, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		require.NoError(c.t, ctx.Err(), "%s: %s", service, output)
	}
}

// temporalPrograms puts Temporal's own programs, of the version that go.mod
// names, where the commands find them, and its command line as far as
// temporalCommand knows it.
func (c *composed) temporalPrograms() {
	c.t.Helper()
	for name, pkg := range map[string]string{
		"temporal-server": "go.temporal.io/server/cmd/server", "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql",
	} {
		output, err := exec.CommandContext(c.t.Context(), "go", "tool", "-n", pkg).Output()
		require.NoError(c.t, err, "%s", output)
		require.NoError(c.t, os.Symlink(strings.TrimSpace(string(output)), filepath.Join(c.programs, name)))
	}
	self, err := os.Executable()
	require.NoError(c.t, err)
	require.NoError(c.t, os.Symlink(self, filepath.Join(c.programs, temporalCommand)))
}

// startTemporal starts Temporal's server as its image does: the configuration
// is the one built into it, filled from the variables.
func (c *composed) startTemporal() {
	c.t.Helper()
	log, err := os.OpenFile(c.path("temporal.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(c.t, err)
	c.server = exec.CommandContext(c.t.Context(), filepath.Join(c.programs, "temporal-server"), "start")
	c.server.Env = append(append(c.environment("temporal"), c.ports...), "LOG_LEVEL=warn", "DYNAMIC_CONFIG_FILE_PATH="+c.dynamicConfig())
	c.server.Stdout, c.server.Stderr = log, log
	require.NoError(c.t, c.server.Start())
	require.NoError(c.t, log.Close())
	// The health check.
	c.eventually("Temporal listens", func() bool {
		conn, err := net.Dial("tcp", c.temporal)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// dynamicConfigPath is where the server of the container looks for its dynamic
// config, see TestComposePutsTheDynamicConfigWhereTemporalLooks.
const dynamicConfigPath = "/etc/temporal/config/dynamicconfig/docker.yaml"

// dynamicConfig writes the file that the container has there.
func (c *composed) dynamicConfig() string {
	c.t.Helper()
	for _, f := range c.file.Services["temporal"].Configs {
		if f.Target == dynamicConfigPath {
			path := c.path("dynamic.yaml")
			require.NoError(c.t, os.WriteFile(path, []byte(c.file.Configs[f.Source].Content), 0o600))
			return path
		}
	}
	require.FailNow(c.t, "compose.yaml gives Temporal no "+dynamicConfigPath)
	return ""
}

// stopTemporal asks the server to end, as docker does.
func (c *composed) stopTemporal() {
	c.t.Helper()
	require.NoError(c.t, c.server.Process.Signal(syscall.SIGTERM))
	require.NoError(c.t, c.server.Wait())
}

// up starts everything but the workers, in the order of depends_on.
func (c *composed) up() {
	c.t.Helper()
	c.temporalPrograms()
	require.NoError(c.t, os.Symlink(c.built(present), filepath.Join(c.programs, "worker")))
	c.once("temporal-schema")
	c.startTemporal()
	c.t.Cleanup(func() {
		_ = c.server.Process.Kill()
		_ = c.server.Wait()
		if c.t.Failed() {
			log, _ := os.ReadFile(c.path("temporal.log"))
			c.t.Logf("Temporal:\n%s", log)
		}
	})
	c.once("namespace")
	migrate := exec.CommandContext(c.t.Context(), filepath.Join(c.programs, "worker"), c.file.Services["migrate"].Command...)
	migrate.Env = c.environment("migrate")
	output, err := migrate.CombinedOutput()
	require.NoError(c.t, err, "%s", output)
	c.client, err = client.Dial(client.Options{HostPort: c.temporal, Logger: quiet})
	require.NoError(c.t, err)
	c.t.Cleanup(c.client.Close)
}

// workers starts n workers with the image's arguments, their keyring on one
// volume, and waits until their readiness probe is content.
func (c *composed) workers(n int) []*worker {
	c.t.Helper()
	image, err := os.ReadFile("../../deployments/docker/Dockerfile")
	require.NoError(c.t, err)
	_, image2, ok := strings.Cut(string(image), " AS worker\n")
	require.True(c.t, ok)
	command := regexp.MustCompile(`(?m)^CMD (.*)$`).FindStringSubmatch(image2)
	require.NotNil(c.t, command)
	var all []*worker
	for i, port := range freePorts(c.t, n) {
		address := net.JoinHostPort("127.0.0.1", port)
		var args []string
		require.NoError(c.t, json.Unmarshal([]byte(command[1]), &args))
		for i, arg := range args {
			args[i] = strings.NewReplacer("/segments", c.dir, "0.0.0.0:9464", address).Replace(arg)
		}
		cmd := exec.Command(filepath.Join(c.programs, "worker"), append(args, "--omnisend-url", c.omnisend)...)
		cmd.Env = append(c.environment("worker-1"), "SEGMENT_EXPORT_DATA_DIR="+c.path("data"))
		w := c.start("worker-"+strconv.Itoa(i), cmd)
		w.address = address
		all = append(all, w)
	}
	for _, w := range all {
		c.eventually("a worker is ready", func() bool { return w.gone() || w.probe("readyz") == http.StatusOK })
		require.False(c.t, w.gone(), "it ended: %s", w.said())
	}
	return all
}

// query does something in a database as its superuser.
func (c *composed) query(database, sql string) {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.postgres.DSN(database))
	require.NoError(c.t, err)
	_, err = conn.Exec(c.t.Context(), sql)
	require.NoError(c.t, err)
	require.NoError(c.t, conn.Close(c.t.Context()))
}
