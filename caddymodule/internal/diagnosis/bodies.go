package diagnosis

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/maphash"
	"io"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A variant is a body that the sender may have signed instead of the one that arrived.
// A nil body means that there is no such variant.
type variant struct {
	name string // an argument of the hint, if any
	body []byte
}

// A bodyRow is one thing that can happen to a body.
type bodyRow struct {
	diagnosis Diagnosis
	variants  func(a *arrived) []variant
}

// bodyRows lists everything that can happen to a body, the most likely first.
var bodyRows = []bodyRow{
	{senderSignedEmptyBody, func(*arrived) []variant { return one([]byte{}) }},
	{senderSignedDigestOfBody, digests},
	{trailingNewlineWasRemoved, func(a *arrived) []variant { return []variant{{body: a.plus("\n")}, {body: a.plus("\r\n")}} }},
	{trailingNewlineWasAdded, func(a *arrived) []variant { return one(trimNewline(a.body)) }},
	{lineBreaksWereChanged, lineBreaks},
	{lineBreaksWereRemoved, noLineBreaks},
	{byteOrderMarkWasAdded, func(a *arrived) []variant { return one(bytes.TrimPrefix(a.body, []byte(utf8Mark))) }},
	{bodyWasGzipped, func(a *arrived) []variant { return one(gunzip(a.body)) }},
	{bodyWasDeflated, inflated},
	{senderSignedFormPayload, func(a *arrived) []variant { return one(formPayload(a.body)) }},
	{jsonWasPrettyPrinted, func(a *arrived) []variant { return one(a.compact) }},
	{jsonWasCompacted, indented},
	{jsonSpacingWasChanged, spaced},
	{jsonSlashWasUnescaped, func(a *arrived) []variant { return one(a.rewrite(escapeSlash)) }},
	{jsonSlashWasEscaped, func(a *arrived) []variant { return one(a.rewrite(unescapeSlash)) }},
	{jsonUnicodeWasUnescaped, escaped},
	{jsonUnicodeWasEscaped, func(a *arrived) []variant { return one(a.rewrite(unescapeUnicode)) }},
	{jsonEscapesChangedCase, recased},
	{jsonWasReencoded, reencoded},
	{senderSignedSortedJSON, sorted},
	{charsetWasChanged, charsets},
}

func one(body []byte) []variant { return []variant{{body: body}} }

// arrived is the body that arrived, with what several rows need.
type arrived struct {
	body    []byte
	compact []byte // nil if the body is not JSON
}

func (a *arrived) plus(end string) []byte { return append(bytes.Clone(a.body), end...) }

// rewrite changes the body unit by unit, if it is JSON.
func (a *arrived) rewrite(change unitChange) []byte {
	if a.compact == nil {
		return nil
	}
	return rewrite(a.body, change)
}

// bodies tries what can happen to a body between its signing and the gate.
func (t *trial) bodies() Finding {
	a := &arrived{body: t.body}
	t.tried = map[uint64]bool{maphash.Bytes(seed, t.body): true}
	var compact bytes.Buffer
	if json.Compact(&compact, t.body) == nil { // it keeps the order of keys, and numbers and strings as they are
		a.compact = compact.Bytes()
	}
	for _, row := range bodyRows {
		if row.diagnosis == senderSignedDigestOfBody && t.gate.scheme.SignsHash() {
			continue // see hashes
		}
		for _, v := range row.variants(a) {
			if t.fits(v) {
				return t.found(row.diagnosis, v)
			}
		}
	}
	return Finding{}
}

func (t *trial) found(d Diagnosis, v variant) Finding {
	switch {
	case d == senderSignedDigestOfBody:
		return finding(d, v.name, t.orWord(v.name))
	case v.name == "":
		return finding(d)
	}
	return finding(d, v.name)
}

// orWord proposes a payload with a word for the digest of that name, if there is one.
func (t *trial) orWord(name string) string {
	for _, row := range bodyWords {
		changed := signing(t.gate.scheme, row.word)
		if _, err := t.keys.compile(changed); row.name == name && err == nil {
			return ", or if that is what it documents, write " + cure(t.gate.scheme, changed)
		}
	}
	return ""
}

// seed keeps a stranger from choosing bodies whose hashes collide.
var seed = maphash.MakeSeed()

// fits reports whether the judge accepts a variant. It tries none twice, and never the
// body itself.
func (t *trial) fits(v variant) bool {
	key := maphash.Bytes(seed, v.body)
	if v.body == nil || len(v.body) > maxVariant || t.tried[key] {
		return false
	}
	t.tried[key] = true
	return t.plainly(&t.delivery, v.body)
}

func trimNewline(body []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(body, []byte("\n")), []byte("\r"))
}

func lineBreaks(a *arrived) []variant {
	unix := bytes.ReplaceAll(a.body, []byte("\r\n"), []byte("\n"))
	return []variant{
		{"LF where it arrived with CRLF", unix},
		{"CRLF where it arrived with LF", bytes.ReplaceAll(unix, []byte("\n"), []byte("\r\n"))},
	}
}

// noLineBreaks undoes what curl -d does to a file of indented JSON: it drops the line
// breaks and keeps the blanks of the indentation.
func noLineBreaks(a *arrived) []variant {
	if bytes.ContainsAny(a.body, "\r\n") || !bytes.Contains(a.body, []byte("  ")) {
		return nil
	}
	var all []variant
	for _, blanks := range []string{"  ", "    "} {
		if file := a.layout(layout{colon: ": ", comma: ",", indent: blanks}); file != nil {
			all = append(all, variant{body: file}, variant{body: append(bytes.Clone(file), '\n')})
		}
	}
	return all
}

// digests returns digests of the body in the usual encodings. In Web Crypto, digest and sign
// are two steps, and it is easy to pass the result of one to the other. Other senders mean
// it, and there is a word for it.
func digests(a *arrived) []variant {
	sum, long := sha256.Sum256(a.body), sha512.Sum512(a.body)
	text := hex.EncodeToString(sum[:])
	return []variant{
		{"the 32 bytes of its SHA-256", sum[:]},
		{"its SHA-256 in hex", []byte(text)},
		{"its SHA-256 in hex, in capitals", []byte(strings.ToUpper(text))},
		{"its SHA-256 in base64", []byte(base64.StdEncoding.EncodeToString(sum[:]))},
		{"its SHA-512 in hex", []byte(hex.EncodeToString(long[:]))},
		{"its SHA-512 in base64", []byte(base64.StdEncoding.EncodeToString(long[:]))},
	}
}

func gunzip(body []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil
	}
	return unpack(r)
}

// inflated decompresses the two formats that are called deflate: with the frame of zlib
// (RFC 9110, section 8.4.1.2), and without.
func inflated(a *arrived) []variant {
	all := one(unpack(flate.NewReader(bytes.NewReader(a.body))))
	if r, err := zlib.NewReader(bytes.NewReader(a.body)); err == nil {
		all = append(all, variant{body: unpack(r)})
	}
	return all
}

// unpack stops just beyond the bound, and then the result is not tried: a few bytes can
// unpack to gigabytes. An empty result is no variant, because it would match a signature
// over nothing, whatever the body is.
func unpack(r io.Reader) []byte {
	plain, err := io.ReadAll(io.LimitReader(r, maxVariant+1))
	if err != nil || len(plain) == 0 {
		return nil
	}
	return plain
}

// formPayload returns the decoded payload field of a form, as GitHub sends it.
func formPayload(body []byte) []byte {
	for pair := range bytes.SplitSeq(body, []byte("&")) {
		if value, ok := bytes.CutPrefix(pair, []byte("payload=")); ok {
			text, err := url.QueryUnescape(string(value))
			if err != nil {
				return nil
			}
			return []byte(text)
		}
	}
	return nil
}

// charsets returns a UTF-8 body in other charsets: Latin-1, as Node's "binary" digests
// it; UTF-16, the strings of .NET, Java and Windows; and ASCII with a question mark for
// each other character, which .NET writes twice for one beyond the BMP. A body that is
// not UTF-8 becomes UTF-8.
func charsets(a *arrived) []variant {
	if utf8.Valid(a.body) {
		return []variant{
			{"ISO-8859-1", latin1(a.body)},
			{"UTF-16, little-endian", wide(a.body, binary.LittleEndian)},
			{"UTF-16, big-endian", wide(a.body, binary.BigEndian)},
			{"ASCII, with ? for each other character", ascii(a.body, "?")},
			{"ASCII, with ? for each other character", ascii(a.body, "??")},
		}
	}
	utf := make([]rune, len(a.body))
	for i, b := range a.body {
		utf[i] = rune(b)
	}
	return []variant{{"UTF-8", []byte(string(utf))}}
}

func wide(body []byte, order binary.AppendByteOrder) []byte {
	out := make([]byte, 0, 2*len(body))
	for _, unit := range utf16.Encode([]rune(string(body))) {
		out = order.AppendUint16(out, unit)
	}
	return out
}

func ascii(body []byte, astral string) []byte {
	out := make([]byte, 0, len(body))
	for _, r := range string(body) {
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r)) //nolint:gosec // it fits
		case r > 0xFFFF:
			out = append(out, astral...)
		default:
			out = append(out, '?')
		}
	}
	return out
}

func latin1(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for _, r := range string(body) {
		if r > 0xFF {
			return nil
		}
		out = append(out, byte(r)) //nolint:gosec // it fits
	}
	return out
}
