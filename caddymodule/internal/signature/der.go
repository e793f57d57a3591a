package signature

import "bytes"

// An ECDSA signature is two numbers. In DER (RFC 3279, section 2.2.3) it is
//
//	30 length 02 length r 02 length s
//
// where each number has as few bytes as it can have and no sign, and nothing follows.
// One signature has many forms in BER, and a gate that took them would take bytes that
// nobody signed. Written raw, both numbers have as many bytes as the order of the curve.

// maxDER is the length of the longest signature in DER with numbers of that many bytes:
// each may have a zero in front, which says that it is not negative.
func maxDER(size int) int { return 2 + 2*(2+1+size) }

// formPair checks one signature, and returns its length in DER. The room behind a raw
// one is used: see maxDER.
func formPair(signature []byte, n int, order []byte, raw bool) (int, bool) {
	if raw {
		return fromRaw(signature, n, order)
	}
	r, s, ok := splitDER(signature[:n])
	return n, ok && inOrder(r, order) && inOrder(s, order)
}

// fromRaw writes a raw signature as DER, in its place.
func fromRaw(signature []byte, n int, order []byte) (int, bool) {
	if n != 2*len(order) {
		return 0, false
	}
	var copied [2 * 48]byte
	copy(copied[:], signature[:n])
	r, s := bytes.TrimLeft(copied[:len(order)], "\x00"), bytes.TrimLeft(copied[len(order):n], "\x00")
	if !inOrder(r, order) || !inOrder(s, order) {
		return 0, false
	}
	der := appendNumber(appendNumber(signature[:2], r), s)
	der[0], der[1] = 0x30, byte(len(der)-2) //nolint:gosec // at most maxDER
	return len(der), true
}

func appendNumber(dst, number []byte) []byte {
	if number[0] >= 0x80 {
		dst = append(dst, 0x02, byte(len(number)+1), 0) //nolint:gosec // at most 49
	} else {
		dst = append(dst, 0x02, byte(len(number))) //nolint:gosec // at most 48
	}
	return append(dst, number...)
}

// splitDER returns both numbers without the zero in front. Their lengths, and with them
// all others, are below 128 on the curves that there are, and have one byte.
func splitDER(der []byte) (r, s []byte, ok bool) {
	if len(der) < 2 || der[0] != 0x30 || der[1] >= 0x80 || int(der[1]) != len(der)-2 {
		return nil, nil, false
	}
	r, rest, ok := cutNumber(der[2:])
	if !ok {
		return nil, nil, false
	}
	s, rest, ok = cutNumber(rest)
	return r, s, ok && len(rest) == 0
}

// cutNumber takes one number that is above zero off the front.
func cutNumber(der []byte) (number, rest []byte, ok bool) {
	if len(der) < 3 || der[0] != 0x02 || der[1] == 0 || der[1] >= 0x80 || int(der[1]) > len(der)-2 {
		return nil, nil, false
	}
	number, rest = der[2:2+der[1]], der[2+der[1]:]
	if number[0] == 0 {
		number = number[1:] // only in front of a byte that would look like a sign
		return number, rest, len(number) > 0 && number[0] >= 0x80
	}
	return number, rest, number[0] < 0x80
}

// inOrder reports whether a number without zeros in front is from 1 to the order less one.
func inOrder(number, order []byte) bool {
	if len(number) != len(order) {
		return len(number) > 0 && len(number) < len(order)
	}
	return bytes.Compare(number, order) < 0
}
