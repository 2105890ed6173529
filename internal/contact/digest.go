package contact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Digest stands for an address: keyed, so that nobody without the export's key
// can tell whose it is, and long enough that no two of a billion meet.
type Digest [16]byte

// ContentDigest stands for what is sent of a contact besides its address, in
// three parts, so that it can be said what has changed.
type ContentDigest struct {
	Profile [8]byte
	Consent [8]byte
	Markers [8]byte
}

// Shards is the number of parts that an export's contacts are divided into by
// the digest of their address.
const Shards = 64

// Shard returns the shard of an address: the leading bits of its digest, so
// that shards one after the other are in the order of digests.
func Shard(d Digest) int { return int(d[0] >> 2) }

// Digester makes digests with one key. Each goroutine needs its own.
type Digester struct {
	mac hash.Hash
	buf []byte
	sum [sha256.Size]byte
	// Most contacts have the markers of the one before, and many no dated consent.
	markers, undated last
}

// last is what was digested last, and its digest.
type last struct {
	of  []byte
	sum [8]byte
}

// NewDigester returns a digester; the key is 32 random bytes.
func NewDigester(key []byte) *Digester {
	return &Digester{mac: hmac.New(sha256.New, key)}
}

// What is digested begins with one of these, so that a digest of one kind is
// never one of another.
const (
	digestAddress = iota + 1
	digestProfile
	digestConsent
	digestMarkers
)

// Address returns the digest of a normalised address.
func (d *Digester) Address(email string) Digest {
	d.buf = append(append(d.buf[:0], digestAddress), email...)
	return Digest(d.hmac()[:16])
}

// Content returns the digest of a contact as Item writes it. The order of the
// markers counts. Which rule decided a status does not: it is not sent.
func (d *Digester) Content(p Profile, s Settled, markers []MarkerValue) ContentDigest {
	var digest ContentDigest

	d.buf = append(append(d.buf[:0], digestProfile), p.Fields...)
	if len(p.Properties) > 0 {
		d.buf = append(append(d.buf, 0), p.Properties...) // JSON holds no zero byte
	}
	copy(digest.Profile[:], d.hmac())

	d.buf = append(append(d.buf[:0], digestConsent), s.Mail.Status...)
	d.buf = binary.BigEndian.AppendUint64(d.buf, uint64(s.Mail.At.UnixMilli()))
	if s.Texts() {
		d.buf = append(append(append(d.buf, s.Phone...), 0), s.SMS.Status...)
		d.buf = binary.BigEndian.AppendUint64(d.buf, uint64(s.SMS.At.UnixMilli()))
	}
	if s.Mail.At.Equal(Undated) && !s.Texts() {
		digest.Consent = d.repeated(&d.undated)
	} else {
		copy(digest.Consent[:], d.hmac())
	}

	d.buf = append(d.buf[:0], digestMarkers)
	for _, m := range markers {
		d.buf = append(d.buf, m.Property...)
		member := byte(0) // cannot be in a property's name, and ends it
		if m.Member {
			member = 1
		}
		d.buf = append(d.buf, 0, member)
	}
	digest.Markers = d.repeated(&d.markers)
	return digest
}

// repeated returns the first bytes of the code of buf, which is often the same as
// before.
func (d *Digester) repeated(l *last) [8]byte {
	if !bytes.Equal(d.buf, l.of) {
		l.of = append(l.of[:0], d.buf...)
		copy(l.sum[:], d.hmac())
	}
	return l.sum
}

// hmac returns the code of buf; valid until the next call.
func (d *Digester) hmac() []byte {
	d.mac.Reset()
	d.mac.Write(d.buf)
	return d.mac.Sum(d.sum[:0])
}
