package diagnosis

import (
	"fmt"
	"slices"
)

// A Diagnosis is one word of a closed set: log field and metric label.
//
// To add one, name it here, write its hint in the table below, and let a row of
// secrets.go, forms.go, values.go, bodies.go or checks.go find it. Tests ask for a
// delivery that reaches it, with the cure applied, and for a row in the docs.
type Diagnosis string

// Unknown is what a forged request gets, and a body changed beyond recognition.
const Unknown Diagnosis = "unknown"

// What can be wrong with the secret, on either side.
const (
	SecretHasSurroundingWhitespace Diagnosis = "secret_has_surrounding_whitespace" //nolint:gosec // a word, no credential
	SecretHasByteOrderMark         Diagnosis = "secret_has_byte_order_mark"        //nolint:gosec // a word, no credential
	SecretIsQuoted                 Diagnosis = "secret_is_quoted"
	SecretNeedsBase64Decode        Diagnosis = "secret_needs_base64_decode"
	SecretNeedsHexDecode           Diagnosis = "secret_needs_hex_decode"
	SecretNeedsWhsecDecode         Diagnosis = "secret_needs_whsec_decode"
	SecretShouldNotBeDecoded       Diagnosis = "secret_should_not_be_decoded"
	SenderSecretEndsWithNewline    Diagnosis = "sender_secret_ends_with_newline"
	SenderSecretIsQuoted           Diagnosis = "sender_secret_is_quoted"
	SenderSecretIsEmpty            Diagnosis = "sender_secret_is_empty"
	SenderKeyIsBase64OfSecret      Diagnosis = "sender_key_is_base64_of_secret" //nolint:gosec // a word, no credential
	SenderKeyIsHexOfSecret         Diagnosis = "sender_key_is_hex_of_secret"    //nolint:gosec // a word, no credential
	SignedWithAnotherGatesSecret   Diagnosis = "signed_with_another_gates_secret"
	MeantForAnotherGate            Diagnosis = "meant_for_another_gate"
)

// What can be wrong with the header section.
const (
	SignatureIsBase64NotHex       Diagnosis = "signature_is_base64_not_hex"
	SignatureIsHexNotBase64       Diagnosis = "signature_is_hex_not_base64"
	SignatureIsBase64URLNotBase64 Diagnosis = "signature_is_base64url_not_base64"
	SignatureIsBase64NotBase64URL Diagnosis = "signature_is_base64_not_base64url"
	SignatureHasAnotherForm       Diagnosis = "signature_has_another_form"
	SignatureLabelIsSpelled       Diagnosis = "signature_label_is_spelled_differently"
	SignatureIsQuoted             Diagnosis = "signature_is_quoted"
	SignatureTagsDiffer           Diagnosis = "signature_tags_differ"
	SignatureInAnotherField       Diagnosis = "signature_in_another_field"
	AlgorithmLabelWrong           Diagnosis = "algorithm_label_wrong"
	AlgorithmNotListed            Diagnosis = "algorithm_not_listed"
	AlgorithmDiffers              Diagnosis = "algorithm_differs"
	TimestampUnitDiffers          Diagnosis = "timestamp_unit_differs"
	TimestampIsFraction           Diagnosis = "timestamp_is_fraction"
	TimestampHasNoZone            Diagnosis = "timestamp_has_no_zone"
	ClockIsOff                    Diagnosis = "clock_is_off"
	URLDiffers                    Diagnosis = "url_differs"
)

// What can happen to a body between its signing and the gate.
const (
	BodyIsEmpty               Diagnosis = "body_is_empty"
	MethodSendsNoBody         Diagnosis = "method_sends_no_body"
	SenderSignedEmptyBody     Diagnosis = "sender_signed_empty_body"
	SenderSignedDigestOfBody  Diagnosis = "sender_signed_digest_of_body"
	SenderSignedFormPayload   Diagnosis = "sender_signed_form_payload"
	SenderSignedSortedJSON    Diagnosis = "sender_signed_sorted_json"
	TrailingNewlineWasRemoved Diagnosis = "trailing_newline_was_removed"
	TrailingNewlineWasAdded   Diagnosis = "trailing_newline_was_added"
	LineBreaksWereChanged     Diagnosis = "line_breaks_were_changed"
	LineBreaksWereRemoved     Diagnosis = "line_breaks_were_removed"
	ByteOrderMarkWasAdded     Diagnosis = "byte_order_mark_was_added"
	CharsetWasChanged         Diagnosis = "charset_was_changed"
	BodyWasGzipped            Diagnosis = "body_was_gzipped"
	BodyWasDeflated           Diagnosis = "body_was_deflated"
	JSONWasPrettyPrinted      Diagnosis = "json_was_pretty_printed"
	JSONWasCompacted          Diagnosis = "json_was_compacted"
	JSONSpacingWasChanged     Diagnosis = "json_spacing_was_changed"
	JSONSlashWasUnescaped     Diagnosis = "json_slash_was_unescaped"
	JSONSlashWasEscaped       Diagnosis = "json_slash_was_escaped"
	JSONUnicodeWasUnescaped   Diagnosis = "json_unicode_was_unescaped"
	JSONUnicodeWasEscaped     Diagnosis = "json_unicode_was_escaped"
	JSONEscapesChangedCase    Diagnosis = "json_escapes_changed_case"
	JSONWasReencoded          Diagnosis = "json_was_reencoded"
)

// Why the check that a sender makes before it delivers was not answered.
const (
	CheckIsNotConfigured    Diagnosis = "check_is_not_configured"
	CheckHasAnotherMethod   Diagnosis = "check_has_another_method"
	CheckNamesWereChanged   Diagnosis = "check_names_were_changed"
	CheckLacksParameter     Diagnosis = "check_lacks_parameter"
	CheckRepeatsParameter   Diagnosis = "check_repeats_parameter"
	CheckAsksNoSubscription Diagnosis = "check_asks_no_subscription"
	CheckTokenDiffers       Diagnosis = "check_token_differs"
	CheckTopicDiffers       Diagnosis = "check_topic_differs"
	CheckTextIsNotEchoed    Diagnosis = "check_text_is_not_echoed"
)

// unchanged is the cure for everything that a hop did to a body, veryBytes for what
// the sender may have done itself.
const (
	unchanged = "let every proxy and relay in front pass the body on unchanged"
	veryBytes = "let the sender sign the very bytes that it sends"
	either    = unchanged + ", or " + veryBytes
)

// hints is the closed set, with what the operator is told: what is wrong, on whose
// side, and what to do. The arguments are words of closed lists, numbers, names of
// gates, options, and labels of at most maxLabel bytes. An option in backquotes is a
// line to write as it stands; a test does.
var hints = map[Diagnosis]string{ //nolint:gosec // words, no credentials
	Unknown: "No known mistake explains it: the sender has another secret, the body was changed beyond recognition, or the request is forged; " +
		"compare the secret on both sides, then the SHA-256 of the body with what the sender shows.",

	SecretHasSurroundingWhitespace: "The gate's secret begins or ends with a blank or a line break, which the sender's does not have; take it out of the variable or file.",
	SecretHasByteOrderMark:         "The gate's secret was saved as %s, and its first bytes are a byte order mark; save the file as UTF-8 without one.",
	SecretIsQuoted:                 "The gate's secret is in quotes, which the sender's is not; take them out of the variable or file.",
	SecretNeedsBase64Decode:        "The sender's key is the bytes that the secret stands for in base64, and the gate takes the secret for something else; write `secret_encoding base64`.",
	SecretNeedsHexDecode:           "The sender's key is the bytes that the secret stands for in hex, and the gate takes the secret for something else; write `secret_encoding hex`.",
	SecretNeedsWhsecDecode:         "The gate uses the secret's text, and the sender the bytes after whsec_, decoded from base64; write `secret_encoding base64 whsec_`.",
	SecretShouldNotBeDecoded:       "The gate decodes the secret, and the sender uses its text; write `%s`, or let the sender decode it.",
	SenderSecretEndsWithNewline:    "The sender's secret ends with %s, which the gate's does not have; enter it at the sender again, without.",
	SenderSecretIsQuoted:           "The sender's secret is in %s quotes, which the gate's is not; enter it at the sender again, without.",
	SenderSecretIsEmpty:            "The sender signs with an empty secret, which anyone can; its secret is not set, so set it there.",
	SenderKeyIsBase64OfSecret:      "The sender signs with the base64 text of the secret (as a Kubernetes Secret shows it); let the sender decode it, or give the gate that text as its secret.",
	SenderKeyIsHexOfSecret:         "The sender signs with the hex text of the secret; let the sender decode it, or give the gate that text as its secret.",
	SignedWithAnotherGatesSecret:   "The delivery is signed with the secret of the gate %q; give the sender the URL of that gate, or the secret of this one.",
	MeantForAnotherGate:            "The gate %q would accept this delivery; give the sender the URL of that gate, or check the matchers of the routes.",

	SignatureIsBase64NotHex:       "The sender writes the digest in base64, and the gate expects hex; write %s.",
	SignatureIsHexNotBase64:       "The sender writes the digest in hex, and the gate expects base64; write %s.",
	SignatureIsBase64URLNotBase64: "The sender writes the digest in base64url, and the gate expects base64; write %s.",
	SignatureIsBase64NotBase64URL: "The sender writes the digest in base64, and the gate expects base64url; write %s.",
	SignatureHasAnotherForm:       "The sender writes the signature in another form than the gate expects; write %s, or use the sender's preset.",
	SignatureLabelIsSpelled:       "The sender writes the label in front of the digest as %q; let it write %q, or write %s.",
	SignatureIsQuoted:             "The sender puts the signature, or the digest in it, in quotes; let it send the value without.",
	SignatureTagsDiffer:           "No item of the signature has the tag %q, which the gate expects; the items that came have %s; write `signature` with the tag that the sender documents%s.",
	SignatureInAnotherField:       "The request has no signature in a field that the gate reads, but it has %s; write %s.%s",
	AlgorithmLabelWrong:           "The sender labels its digest %s, and it is one of %s; correct the label or the algorithm at the sender.",
	AlgorithmNotListed:            "The sender signs with %s, which `algorithms` does not list; let the sender sign with %s, or write %s.",
	AlgorithmDiffers:              "The sender's digest is one of %s, and the gate expects %s; write %s, or let the sender sign with %[2]s.",
	TimestampUnitDiffers:          "The sender writes the time in another unit than the gate expects; write %s.",
	TimestampIsFraction:           "The sender writes the time with a fraction of a second, and the gate takes whole %s; let the sender cut the fraction off before it signs.%s",
	TimestampHasNoZone: "The sender writes the date without its time zone, or with a comma, and what is signed after it could be taken for its end; " +
		"let the sender end it with Z.%s",
	ClockIsOff: "The time of signing is %d seconds in the %s, and the gate allows %d; set the clocks on both sides by NTP, " +
		"or the delivery was held up or is an old one sent again.%s",
	URLDiffers: "The sender signs its URL %s; write it in `public_url` just as the sender has it.",

	BodyIsEmpty:               "The body is empty, which no sender signs on purpose; a redirect or a slash clean-up lost it, so give the sender the final URL.",
	MethodSendsNoBody:         "The delivery is a %s without a body, and the sender signs a body that it does not send with this method; set the method to POST at the sender.",
	SenderSignedEmptyBody:     "The sender signed an empty body, and sent another; " + veryBytes + ".",
	SenderSignedDigestOfBody:  "The sender signed the SHA-256 digest of the body (%s) instead of the body; let it compute the HMAC over the body itself.",
	SenderSignedFormPayload:   "The sender signed the decoded value of the form's payload field, and sent the form; choose application/json at the sender, or let it sign the whole body.",
	SenderSignedSortedJSON:    "The sender signed the JSON with its keys sorted (%s), and sent it in another order; " + veryBytes + ".",
	TrailingNewlineWasRemoved: "The sender signed a line break at the end of the body, which did not arrive; with curl write --data-binary for -d, otherwise " + unchanged + ".",
	TrailingNewlineWasAdded:   "The body arrived with a line break at its end, which the sender did not sign; in a shell write printf %%s for echo, otherwise " + unchanged + ".",
	LineBreaksWereChanged:     "The line breaks of the body were changed after signing: the sender signed %s; " + unchanged + ", and use no text mode.",
	LineBreaksWereRemoved:     "The sender signed a body with line breaks, and they were taken out; with curl write --data-binary for -d, otherwise " + unchanged + ".",
	ByteOrderMarkWasAdded:     "A byte order mark was put in front of the body after signing; let the sender write UTF-8 without, and " + unchanged + ".",
	CharsetWasChanged:         "The sender signed the body in %s, and it arrived in another charset; " + veryBytes + ", and " + unchanged + ".",
	BodyWasGzipped:            "The body was compressed with gzip after signing; " + unchanged + ", or let the sender sign what it compresses.",
	BodyWasDeflated:           "The body was compressed with deflate after signing; " + unchanged + ", or let the sender sign what it compresses.",
	JSONWasPrettyPrinted:      "The sender signed the JSON without white space, and it arrived with; " + either + ".",
	JSONWasCompacted:          "The sender signed the JSON indented by %s, and it arrived without line breaks; " + either + ".",
	JSONSpacingWasChanged:     "The sender signed the JSON with other white space (%s) than it arrived with; " + either + ".",
	JSONSlashWasUnescaped:     "The sender signed the JSON with slashes written \\/ (as PHP does), and they arrived as /; " + either + ".",
	JSONSlashWasEscaped:       "The sender signed the JSON with slashes written /, and they arrived as \\/ (as PHP writes them); " + either + ".",
	JSONUnicodeWasUnescaped:   "The sender signed the JSON with %s, and they arrived as characters; " + either + ".",
	JSONUnicodeWasEscaped:     "The sender signed the JSON with characters, and they arrived as \\u escapes; " + either + ".",
	JSONEscapesChangedCase:    "The sender signed the JSON with the digits of its \\u escapes in %s case, and they arrived in the other; " + either + ".",
	JSONWasReencoded:          "The JSON was decoded and encoded again after signing: the sender signed it %s; " + either + ".",

	CheckIsNotConfigured:    "This is the check that %s makes before it delivers, and the gate does not answer it; %s.",
	CheckHasAnotherMethod:   "This is the check of `challenge %s`, but it came as %s; it is answered for GET alone, so look for a proxy that changes the method.",
	CheckNamesWereChanged:   "The parameters of this check arrived as hub_mode instead of hub.mode; something in front rewrote the dots of the query, so let it pass the query on unchanged.",
	CheckLacksParameter:     "This check has no %s; look for a proxy or a redirect that shortens the query.",
	CheckRepeatsParameter:   "This check has %s more than once; look for a proxy that adds to the query, or a callback URL that holds the parameter itself.",
	CheckAsksNoSubscription: "hub.mode is not subscribe, and the gate confirms nothing else: nobody may end a subscription by asking.",
	CheckTokenDiffers:       "hub.verify_token is not the token of `challenge hub`; write the same text at the sender and in the configuration.",
	CheckTopicDiffers:       "hub.topic is none of the topics of `challenge websub`; write the topic there just as the hub sends it.",
	CheckTextIsNotEchoed:    "The text to send back is longer than %s, or has characters that the gate does not send back to a stranger; answer this check in front of the gate.",
}

// Diagnoses returns every word of the closed set, sorted.
func Diagnoses() []Diagnosis {
	all := make([]Diagnosis, 0, len(hints))
	for d := range hints {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// finding writes the hint.
func finding(d Diagnosis, args ...any) Finding {
	return Finding{Diagnosis: d, Hint: fmt.Sprintf(hints[d], args...)}
}
