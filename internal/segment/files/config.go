package files

import (
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// Config says where the files are, and how to read them when they do not say
// it themselves. It holds no secret.
type Config struct {
	// Path is a folder below the worker's files root.
	Path string `json:"path,omitempty"`
	// URL is, in place of Path, a bucket and what the names in it begin with:
	// azblob://CONTAINER/PREFIX with Account (Azure Blob and ADLS Gen2; also
	// abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX), s3://BUCKET/PREFIX,
	// gs://BUCKET/PREFIX.
	URL string `json:"url,omitempty"`
	// Account is the Azure storage account of an azblob URL.
	Account string `json:"account,omitempty"`
	// Endpoint is the storage service where it is not the usual one: another
	// cloud's, a private one, an emulator.
	Endpoint string `json:"endpoint,omitempty"`
	// Region is the region of an S3 bucket.
	Region string `json:"region,omitempty"`

	// Layout says which files are segments; empty is LayoutAuto.
	Layout Layout `json:"layout,omitempty"`
	// Delimiter separates columns: one character, or "tab". Without it
	// model.json says it, or the header shows it.
	Delimiter string `json:"delimiter,omitempty"`
	// Columns are the names of the columns of CSV files without a header.
	Columns []string `json:"columns,omitempty"`
	// QuoteEscape is backslash when \" is a quote within quotes; empty when
	// quotes are doubled.
	QuoteEscape string `json:"quote_escape,omitempty"`
	// Sheet is the sheet of a workbook that is read; empty: the first.
	Sheet string `json:"sheet,omitempty"`
	// Encoding is the name of the text's encoding, such as windows-1252. Without
	// it model.json says it, or it is UTF-8.
	Encoding string `json:"encoding,omitempty"`
}

// quoteBackslash is the QuoteEscape of databases and of programs on Unix.
const quoteBackslash = "backslash"

// Layout is how files make segments.
type Layout string

// The layouts.
const (
	// LayoutAuto is LayoutCustomerInsights where there is a model.json or, with
	// no plain segment there, one export below; else LayoutPlain.
	LayoutAuto Layout = "auto"
	// LayoutPlain: SEGMENT.csv, SEGMENT.csv.gz or SEGMENT.parquet.
	LayoutPlain Layout = "plain"
	// LayoutCustomerInsights: what Customer Insights exports to a storage
	// account.
	LayoutCustomerInsights Layout = "customer-insights"
)

// Check says in a sentence for people why the settings cannot be, or nothing.
// Whether the place exists and may be read is for Source to see.
func (c Config) Check() error {
	if _, err := c.comma(); err != nil {
		return err
	}
	if _, err := decoderOf(c.Encoding); err != nil {
		return err
	}
	switch {
	case c.Path == "" && c.URL == "":
		return segment.Malformed("the source needs a path below the files root, or the URL of a bucket")
	case c.Path != "" && c.URL != "":
		return segment.Malformed("the source has a path and a URL; it can have only one of them")
	case !slices.Contains([]Layout{"", LayoutAuto, LayoutPlain, LayoutCustomerInsights}, c.Layout):
		return segment.Malformed("the layout %q is none of %s, %s, %s", c.Layout, LayoutAuto, LayoutPlain, LayoutCustomerInsights)
	case c.QuoteEscape != "" && c.QuoteEscape != quoteBackslash:
		return segment.Malformed("--quote-escape can be %s, or nothing for quotes that are doubled", quoteBackslash)
	case slices.Contains(c.Columns, ""):
		return segment.Malformed("--columns has a name that is empty; name every column, in the order of the file")
	case c.URL == "" && (c.Account != "" || c.Endpoint != "" || c.Region != ""):
		return segment.Malformed("account, endpoint and region belong to the URL of a bucket, and the source has a path")
	case c.URL == "":
		return nil
	}
	_, err := c.address()
	return err
}

// CheckSecret says whether the settings and the credentials go together.
func (c Config) CheckSecret(secret []byte) error {
	if c.URL != "" {
		_, err := c.bucket(secret)
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	if len(secret) > 0 {
		return segment.Malformed("a folder below the files root needs no credentials")
	}
	return nil
}

// open returns the tree that the settings name.
func (c Config) open(root *os.Root, secret []byte) (tree.Tree, error) {
	if c.URL != "" {
		return c.bucket(secret)
	}
	if err := c.CheckSecret(secret); err != nil {
		return nil, err
	}
	folder, err := below(root, c.Path)
	if err != nil {
		return nil, err
	}
	return tree.Local(root, folder)
}

// below returns a path as one below the root. An absolute one may lead there
// too, as the root was named or by links.
func below(root *os.Root, folder string) (string, error) {
	at, err := filepath.Abs(root.Name())
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(folder) {
		if local := path.Clean(filepath.ToSlash(folder)); local == ".." || strings.HasPrefix(local, "../") {
			return "", outside(folder, at)
		}
		return folder, nil
	}
	for _, resolve := range []func(string) (string, error){filepath.Abs, filepath.EvalSymlinks} {
		from, errRoot := resolve(at)
		to, errFolder := resolve(folder)
		if errRoot != nil || errFolder != nil {
			continue
		}
		if inside, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(inside) {
			return inside, nil
		}
	}
	return "", outside(folder, at)
}

func outside(folder, root string) error {
	return segment.Malformed("%s is not below the files root, which is %s: put the files there, or start the worker with another --files-root", folder, root)
}

func (c Config) bucket(secret []byte) (tree.Tree, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	a, err := c.address()
	if err != nil {
		return nil, err
	}
	// What the worker may do must not be shown to a server of anybody's choice.
	if len(secret) == 0 && a.Endpoint != "" && !usualEndpoint(a.Endpoint) {
		return nil, segment.Malformed("the worker's own identity is not shown to the endpoint %s; give the source credentials of its own", a.Endpoint)
	}
	return tree.Bucket(a, secret)
}

const abfss = "abfss"

// address reads the URL.
func (c Config) address() (tree.Address, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return tree.Address{}, segment.Malformed("%q is not the URL of a bucket, like azblob://CONTAINER/PREFIX, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX", c.URL)
	}
	if _, secret := u.User.Password(); secret || u.RawQuery != "" || u.Fragment != "" {
		return tree.Address{}, segment.Malformed("the URL of the bucket has more than a bucket and a prefix; give credentials apart from it, not in it")
	}
	a := tree.Address{
		Scheme: u.Scheme, Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"),
		Account: c.Account, Endpoint: strings.TrimSuffix(c.Endpoint, "/"), Region: c.Region,
	}
	if err := checkEndpoint(a.Endpoint); err != nil {
		return a, err
	}
	switch {
	case u.Scheme == abfss:
		account, domain, ok := strings.Cut(u.Host, ".")
		if u.User == nil || !ok || c.Account != "" && c.Account != account {
			return a, segment.Malformed("%q is not like abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX", c.URL)
		}
		a.Scheme, a.Bucket, a.Account = tree.SchemeAzure, u.User.Username(), account
		if blob := strings.Replace(domain, "dfs.", "blob.", 1); a.Endpoint == "" && blob != "blob.core.windows.net" {
			a.Endpoint = "https://" + account + "." + blob
		}
		return a, nil
	case u.User != nil:
		return a, segment.Malformed("%q has a name before the bucket", c.URL)
	case u.Scheme == tree.SchemeAzure:
		if c.Account == "" {
			return a, segment.Malformed("a bucket of Azure needs the name of its storage account (--account)")
		}
		return a, checkAccount(c.Account)
	case u.Scheme == tree.SchemeS3, u.Scheme == tree.SchemeGoogle:
		return a, nil
	}
	return a, segment.Malformed("%q is not the URL of a bucket: it begins with none of azblob://, abfss://, s3://, gs://", c.URL)
}

// checkAccount refuses what would make another host of the account's URL.
func checkAccount(account string) error {
	for _, r := range account {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return segment.Malformed("%q is not the name of a storage account: it has small letters and digits only", account)
		}
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return segment.Malformed("the endpoint %q is not a URL like https://storage.example.com", endpoint)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return segment.Malformed("the endpoint %q has no encryption; http is for servers on this machine alone", endpoint)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// usualEndpoint says whether an endpoint is one of the clouds' own.
func usualEndpoint(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" {
		return false
	}
	for _, domain := range []string{".blob.core.windows.net", ".blob.core.usgovcloudapi.net", ".blob.core.chinacloudapi.cn",
		".amazonaws.com", ".amazonaws.com.cn", ".googleapis.com"} {
		if strings.HasSuffix(u.Hostname(), domain) {
			return true
		}
	}
	return false
}

// comma returns the delimiter, 0 when none is set.
func (c Config) comma() (rune, error) {
	if strings.EqualFold(c.Delimiter, "tab") || c.Delimiter == `\t` {
		return '\t', nil
	}
	if c.Delimiter == "" {
		return 0, nil
	}
	return commaOf(c.Delimiter)
}

func commaOf(text string) (rune, error) {
	r, size := utf8.DecodeRuneInString(text)
	if size != len(text) || r == utf8.RuneError || strings.ContainsRune("\"\r\n\x00", r) {
		return 0, segment.Malformed("%q cannot separate columns: it must be one character", text)
	}
	return r, nil
}

// decoderOf returns what turns text of an encoding into UTF-8; nil when it is
// UTF-8.
func decoderOf(name string) (encoding.Encoding, error) {
	switch strings.ToLower(name) {
	case "", "utf-8", "utf8":
		return nil, nil
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, segment.Malformed("%q is not the name of an encoding that is known; try utf-8, utf-16le or windows-1252", name)
	}
	return e, nil
}
