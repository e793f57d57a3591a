package signature

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// A bodyHash is a hash of the body as a payload holds it: a placeholder, what is
// computed, and how it is written. It is computed from the body that was received, never
// taken from a field: a field could say anything.
type bodyHash struct {
	name   string
	new    func() hash.Hash
	append func(dst, sum []byte) []byte
}

var bodyHashes = []bodyHash{
	{"body_sha256", sha256.New, hex.AppendEncode},
	{"body_sha512", sha512.New, hex.AppendEncode},
	{"body_sha256_base64", sha256.New, base64.StdEncoding.AppendEncode},
	{"body_sha512_base64", sha512.New, base64.StdEncoding.AppendEncode},
}

func findBodyHash(name string) *bodyHash {
	for i := range bodyHashes {
		if bodyHashes[i].name == name {
			return &bodyHashes[i]
		}
	}
	return nil
}

// SignsHash reports whether the payload holds a hash of the body instead of the body.
func (s Scheme) SignsHash() bool { return strings.Contains(s.Payload, "{body_") }

// maxSum is the size of the largest of these hashes.
const maxSum = sha512.Size

// hashBody ends the hash of the body. From then on its text stands for the body: it is
// small, so that no other secret needs the body again.
func (c *Check) hashBody() io.WriterTo {
	c.hashed = c.verifier.scheme.payload.hash.append(c.hashed[:0], c.bodyHash.Sum(c.computed[:0]))
	c.bodyHash.Reset()
	if c.size = len(c.hashed); c.mac != nil {
		_, _ = c.mac.Write(c.hashed)
	}
	return (*hashedBody)(&c.hashed)
}

// A hashedBody is the text that stands for the body.
type hashedBody []byte

// WriteTo implements io.WriterTo.
func (h *hashedBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(*h)
	return int64(n), err
}
