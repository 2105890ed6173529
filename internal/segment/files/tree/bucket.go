package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"

	"github.com/segment-export/segment-export/internal/segment"
)

// Address is where a bucket is.
type Address struct {
	Scheme   string // azblob, s3 or gs
	Bucket   string // the bucket; of Azure, the container
	Prefix   string // what all names begin with, without a slash at the end
	Account  string // of Azure: the storage account
	Endpoint string // the service's URL where it is not the usual one
	Region   string // of S3
}

func (a Address) String() string {
	return a.Scheme + "://" + path.Join(a.Bucket, a.Prefix)
}

// provider is what differs between the clouds.
type provider struct {
	// open logs in; it may ask the network for it.
	open func(context.Context) (*blob.Bucket, error)
	// attributes and listed return the stamp of an object; condition sets the
	// stamp as the condition of a read.
	attributes func(*blob.Attributes) string
	listed     func(*blob.ListObject) string
	condition  func(as func(any) bool, stamp string) bool
	// explain turns an answer of the service into a sentence for
	// administrators; nil when there is nothing better to say.
	explain func(error) error
}

// Bucket returns the tree below a prefix of a bucket. The secret is what the
// provider's login needs, see CheckSecret; without one the worker's own
// identity is used. Nothing is asked of the network yet.
func Bucket(a Address, secret []byte) (Tree, error) {
	b := &bucket{address: a, secrets: secretsIn(secret), patience: patience}
	var err error
	switch a.Scheme {
	case SchemeAzure:
		b.provider, err = azure(a, secret)
	case SchemeS3:
		b.provider, err = s3(a, secret)
	case SchemeGoogle:
		b.provider, err = google(a, secret)
	default:
		err = segment.Malformed("%q is not a kind of bucket; there are %s, %s and %s", a.Scheme, SchemeAzure, SchemeS3, SchemeGoogle)
	}
	return b, err
}

// The kinds of buckets.
const (
	SchemeAzure  = "azblob"
	SchemeS3     = "s3"
	SchemeGoogle = "gs"
)

type bucket struct {
	provider

	address  Address
	secrets  []string      // what no error may show
	patience time.Duration // how long one answer may take

	mu     sync.Mutex
	opened *blob.Bucket
}

// blobs logs in when that has not been done yet.
func (b *bucket) blobs(ctx context.Context) (*blob.Bucket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened != nil {
		return b.opened, nil
	}
	asking, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	opened, err := b.open(asking)
	if err != nil {
		return nil, b.failed(ctx, "", err)
	}
	b.opened = opened
	return opened, nil
}

func (b *bucket) key(name string) string { return path.Join(b.address.Prefix, name) }

func (b *bucket) Place(name string) string {
	return b.address.Scheme + "://" + path.Join(b.address.Bucket, b.key(name))
}

func (b *bucket) List(ctx context.Context, folder string) (Listing, error) {
	blobs, err := b.blobs(ctx)
	if err != nil {
		return Listing{}, err
	}
	prefix := b.key(folder)
	if prefix != "" {
		prefix += "/"
	}
	var all Listing
	for list := blobs.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"}); ; {
		o, err := b.next(ctx, list)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Listing{}, b.failed(ctx, folder, err)
		}
		name := path.Join(folder, strings.TrimSuffix(strings.TrimPrefix(o.Key, prefix), "/"))
		switch {
		case o.IsDir:
			all.Folders = append(all.Folders, name)
		case strings.HasSuffix(o.Key, "/"), name == folder: // stands for a folder
		default:
			all.Files = append(all.Files, File{Name: name, Size: o.Size, Modified: o.ModTime, Stamp: b.listed(o)})
		}
	}
	slices.Sort(all.Folders)
	slices.SortFunc(all.Files, func(x, y File) int { return cmp.Compare(x.Name, y.Name) })
	return all, nil
}

// next returns the next object of a list; now and then that takes a request.
func (b *bucket) next(ctx context.Context, list *blob.ListIterator) (*blob.ListObject, error) {
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	return list.Next(ctx)
}

func (b *bucket) Stat(ctx context.Context, name string) (File, error) {
	blobs, err := b.blobs(ctx)
	if err != nil {
		return File{}, err
	}
	asking, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	attrs, err := blobs.Attributes(asking, b.key(name))
	if err != nil {
		err = b.failed(ctx, name, err)
		// An answer without a body cannot say why access is refused; that to a
		// list can.
		if errors.Is(err, segment.ErrAccess) {
			if _, why := b.next(ctx, blobs.List(&blob.ListOptions{Prefix: b.key(name)})); why != nil && !errors.Is(why, io.EOF) {
				err = b.failed(ctx, name, why)
			}
		}
		return File{}, err
	}
	return File{Name: name, Size: attrs.Size, Modified: attrs.ModTime, Stamp: b.attributes(attrs)}, nil
}

func (b *bucket) Open(ctx context.Context, f File) (Content, error) {
	blobs, err := b.blobs(ctx)
	if err != nil {
		return nil, err
	}
	return &object{bucket: b, blobs: blobs, ctx: ctx, file: f}, nil
}

// object is one state of a blob.
type object struct {
	bucket *bucket
	blobs  *blob.Bucket
	ctx    context.Context //nolint:containedctx // of the call that opened it, see Tree.Open
	file   File
}

// Chunk makes a request worth its round trip: at 50 ms a request and 100 MB a
// second about half the time is spent on data.
func (*object) Chunk() int { return 4 << 20 }

func (*object) Close() error { return nil }

const (
	// attempts is how often a body that ends early is asked for, from where
	// it broke; what the service answers is retried by its own client.
	attempts = 3
	// patience is how long one answer may take: a range, a page of a list. It is
	// for a connection that has gone quiet, which the libraries would wait for
	// without end; 4 MiB at 1 Mbit a second take half of it.
	patience = time.Minute
)

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	want := min(int64(len(p)), o.file.Size-off)
	if want <= 0 {
		return 0, io.EOF
	}
	n := 0
	for attempt := 1; ; attempt++ {
		m, err := o.readRange(p[n:want], off+int64(n))
		n += m
		if err == nil {
			break
		}
		_, broke := errors.AsType[*brokenError](err)
		if !broke || attempt == attempts || o.ctx.Err() != nil {
			return n, err
		}
	}
	if int(want) < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// gone says whether an object is not there any more in the state asked for.
func gone(err error) bool {
	if e, ok := errors.AsType[*googleapi.Error](err); ok && e.Code == http.StatusPreconditionFailed {
		return true
	}
	code := gcerrors.Code(err)
	return code == gcerrors.FailedPrecondition || code == gcerrors.NotFound
}

// brokenError is a body that ended before its time.
type brokenError struct{ error }

func (o *object) readRange(p []byte, off int64) (int, error) {
	ctx, cancel := context.WithTimeout(o.ctx, o.bucket.patience)
	defer cancel()
	conditional := false
	r, err := o.blobs.NewRangeReader(ctx, o.bucket.key(o.file.Name), off, int64(len(p)), &blob.ReaderOptions{
		BeforeRead: func(as func(any) bool) error {
			conditional = o.bucket.condition(as, o.file.Stamp) || conditional
			return nil
		},
	})
	if err != nil {
		if o.bucket.explain(err) == nil && gone(err) && o.ctx.Err() == nil {
			return 0, changed(o.bucket, o.file.Name)
		}
		return 0, o.bucket.failed(o.ctx, o.file.Name, err)
	}
	defer r.Close()
	if !conditional {
		return 0, fmt.Errorf("%s: conditional reads unsupported", o.bucket.Place(o.file.Name))
	}
	n, err := io.ReadFull(r, p)
	if err != nil {
		return n, &brokenError{o.bucket.failed(o.ctx, o.file.Name, err)}
	}
	return n, nil
}

// failed makes an error that says what an administrator can do, or at least
// what was being done; never with a secret in it.
func (b *bucket) failed(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	where := b.Place(name)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: the service, or the login to it, did not answer within %s", where, b.patience)
	}
	if said := b.explain(err); said != nil {
		return said
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: there is no host named %s", where, e.Name),
			Action:  "put the account's name or the endpoint right",
		}
	}
	if gcerrors.Code(err) == gcerrors.NotFound {
		return segment.NotFound("%s: %v", where, segment.ErrNotFound)
	}
	// The text of a failed request shows its URL, and a shared access signature
	// is part of that.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	text := err.Error()
	for _, secret := range b.secrets {
		text = strings.ReplaceAll(text, secret, "REDACTED")
	}
	return errors.New(where + ": " + oneLine(text))
}

// oneLine is the text of an error without line breaks, and not too long.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "…"
	}
	return text
}
