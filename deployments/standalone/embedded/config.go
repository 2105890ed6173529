package embedded

import (
	"fmt"
	"net"
	"net/url"
	"strconv"

	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"

	"github.com/google/uuid"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "active"
	storeName   = sqlite.PluginName

	// SQLite has one writer and the server one connection, so more shards would only add background work. The number
	// is fixed for good when the file is made.
	historyShards = 1
)

var internalServices = []primitives.ServiceName{
	primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
}

// ports are what this server listens on.
type ports struct {
	frontend, ui int
	internal     map[primitives.ServiceName]int // on loopback, whatever the host

	address string // of the frontend, to dial
	uiURL   string
}

// PortError says that a port cannot be used, and which of the Options it is.
type PortError struct {
	Option string // FrontendPort or UIPort
	Err    error
}

// Error names the option.
func (e *PortError) Error() string { return fmt.Sprintf("%s: %v", e.Option, e.Err) }

// Unwrap returns the cause.
func (e *PortError) Unwrap() error { return e.Err }

func choosePorts(o Options) (ports, error) {
	ip := net.ParseIP(o.Host)
	if ip == nil {
		return ports{}, fmt.Errorf("host %q is not an IP address", o.Host)
	}
	if !ip.IsLoopback() {
		o.Logger.Warn("the embedded Temporal server asks nobody who they are and listens beyond this machine", "host", o.Host)
	}
	dial := o.Host
	if ip.IsUnspecified() {
		dial = loopback
	}

	p := ports{internal: make(map[primitives.ServiceName]int, len(internalServices))}
	var err error
	if p.frontend, err = takePort(o.Host, o.FrontendPort); err != nil {
		return ports{}, &PortError{Option: "FrontendPort", Err: err}
	}
	p.address = net.JoinHostPort(dial, strconv.Itoa(p.frontend))
	for _, service := range internalServices {
		if p.internal[service], err = takePort(loopback, 0); err != nil {
			return ports{}, err
		}
	}
	if o.UIPort >= 0 {
		if p.ui, err = takePort(o.Host, o.UIPort); err != nil {
			return ports{}, &PortError{Option: "UIPort", Err: err}
		}
		p.uiURL = "http://" + net.JoinHostPort(dial, strconv.Itoa(p.ui))
	}
	return p, nil
}

// takePort returns a port on which this process can listen next: the given one if it is free, any when it is 0.
// The server takes numbers, not listeners, and ends the process when one is taken, so a busy port must be found here.
func takePort(host string, port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	if port != 0 {
		return port, nil
	}

	// A connection closed from the listening side keeps the port in TIME_WAIT: for a minute the kernel gives it to
	// nobody who asks for any port, and still lets us listen on it (Go sets SO_REUSEADDR).
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	defer func() { _ = out.Close() }()
	in, err := l.Accept()
	if err != nil {
		return 0, err
	}
	if err := in.Close(); err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (p ports) hosts() map[primitives.ServiceName]static.Hosts {
	hosts := map[primitives.ServiceName]static.Hosts{primitives.FrontendService: static.SingleLocalHost(p.address)}
	for service, port := range p.internal {
		hosts[service] = static.SingleLocalHost(net.JoinHostPort(loopback, strconv.Itoa(port)))
	}
	return hosts
}

// serverConfig is the configuration for the SQLite file at the path database, or one in memory when it is empty.
func serverConfig(o Options, database string, p ports) *config.Config {
	services := map[string]config.Service{
		string(primitives.FrontendService): {RPC: config.RPC{GRPCPort: p.frontend, BindOnIP: o.Host}},
	}
	for service, port := range p.internal {
		services[string(service)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: loopback}}
	}
	return &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     storeName,
			VisibilityStore:  storeName,
			NumHistoryShards: historyShards,
			DataStores:       map[string]config.DataStore{storeName: {SQL: sqlConfig(database)}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: p.address},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: p.address},
	}
}

func sqlConfig(database string) *config.SQL {
	if database == "" {
		// The name keeps several servers in one process apart; the plugin makes the tables.
		return &config.SQL{
			PluginName: storeName, DatabaseName: uuid.NewString(), MaxConns: 1,
			ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
		}
	}
	return &config.SQL{
		PluginName:   storeName,
		DatabaseName: uriPath(database),
		MaxConns:     1, // with more, SQLite answers "database is locked"
		ConnectAttributes: map[string]string{
			"mode":         "rw", // migrate has made the file
			"journal_mode": "wal",
			// A killed process loses nothing; a power cut may lose the last transactions, never the file.
			"synchronous":  "normal",
			"busy_timeout": "10000", // ms, for someone else's backup or look at the file
		},
	}
}

// uriPath makes a path fit for SQLite's file: address, in which ?, # and % have meanings.
func uriPath(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// dynamicConfig holds the settings that differ from the server's own, which are for a cluster of machines.
//
// The forced refresh of the search attributes' cache stays off: it reads the database for every start, and ours are in
// the file before the server is.
func dynamicConfig() dynamicconfig.StaticClient {
	// Requests a second: more than the machine can do, so that SQLite is the limit and no run is refused.
	const unlimited = 100_000
	return dynamicconfig.StaticClient{
		dynamicconfig.EnableServerVersionCheck.Key(): false, // no calls to the outside
		// One partition: nothing to forward between them, and a task queue's rate limit is exact.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// The default keeps up to 128,000 workflows in memory.
		dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): 8_192,

		dynamicconfig.FrontendRPS.Key():                                  unlimited,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():           unlimited,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 1_000, // default 10, too few for a watching CLI
		dynamicconfig.FrontendPersistenceMaxQPS.Key():                    unlimited,
		dynamicconfig.HistoryRPS.Key():                                   unlimited,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():                     unlimited,
		dynamicconfig.MatchingRPS.Key():                                  unlimited,
		dynamicconfig.MatchingPersistenceMaxQPS.Key():                    unlimited,
	}
}

func uiConfig(o Options, p ports) *uiconfig.Config {
	host := o.Host
	if net.ParseIP(host).To4() == nil {
		host = "[" + host + "]" // the UI joins host and port with a colon
	}
	return &uiconfig.Config{
		TemporalGRPCAddress: p.address,
		Host:                host,
		Port:                p.ui,
		EnableUI:            true,
		DefaultNamespace:    o.Namespace,
		DisableNewsFetch:    true,
		NotifyOnNewVersion:  false,
		HideLogs:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true}, // plain http
	}
}
