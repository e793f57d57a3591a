package diagnosis

import (
	"fmt"
	"slices"
)

// A Diagnosis is one word of a closed set. It is a log field and a metric label.
//
// To add one, name it here, write its hint in the table below, and let a row of
// secrets.go, forms.go, values.go, bodies.go or checks.go find it. Tests require a
// delivery that reaches it and is accepted once cured, and a row in the docs.
type Diagnosis string

// Unknown is the diagnosis of a forged request and of a body changed beyond recognition.
const Unknown Diagnosis = "unknown"

// Mistakes with the secret, on either side.
const (
	secretHasSurroundingWhitespace Diagnosis = "secret_has_surrounding_whitespace" //nolint:gosec // a word, no credential
	secretHasByteOrderMark         Diagnosis = "secret_has_byte_order_mark"        //nolint:gosec // a word, no credential
	secretIsQuoted                 Diagnosis = "secret_is_quoted"
	secretNeedsBase64Decode        Diagnosis = "secret_needs_base64_decode"
	secretNeedsHexDecode           Diagnosis = "secret_needs_hex_decode"
	secretNeedsWhsecDecode         Diagnosis = "secret_needs_whsec_decode"
	secretShouldNotBeDecoded       Diagnosis = "secret_should_not_be_decoded"
	senderSecretEndsWithNewline    Diagnosis = "sender_secret_ends_with_newline"
	senderSecretIsQuoted           Diagnosis = "sender_secret_is_quoted"
	senderSecretIsEmpty            Diagnosis = "sender_secret_is_empty"
	secretLacksWhsec               Diagnosis = "secret_lacks_whsec"   //nolint:gosec // a word, no credential
	senderHasNoSecret              Diagnosis = "sender_has_no_secret" //nolint:gosec // a word, no credential
	senderIsNotVerified            Diagnosis = "sender_is_not_verified"
	senderSendsToken               Diagnosis = "sender_sends_token"
	senderKeyIsBase64OfSecret      Diagnosis = "sender_key_is_base64_of_secret" //nolint:gosec // a word, no credential
	senderKeyIsHexOfSecret         Diagnosis = "sender_key_is_hex_of_secret"    //nolint:gosec // a word, no credential
	signedWithAnotherGatesSecret   Diagnosis = "signed_with_another_gates_secret"
	signedWithAnotherGatesKey      Diagnosis = "signed_with_another_gates_key"
	keyIsUnknown                   Diagnosis = "key_is_unknown"
	keyHasAnotherName              Diagnosis = "key_has_another_name"
	meantForAnotherGate            Diagnosis = "meant_for_another_gate"
)

// Mistakes with a token, on either side.
const (
	tokenIsQuoted            Diagnosis = "token_is_quoted"
	tokenIsBase64            Diagnosis = "token_is_base64"
	tokenHasAnotherForm      Diagnosis = "token_has_another_form"
	tokenCaseDiffers         Diagnosis = "token_case_differs"     //nolint:gosec // a word, no credential
	tokenInAnotherField      Diagnosis = "token_in_another_field" //nolint:gosec // a word, no credential
	tokenOfAnotherGate       Diagnosis = "token_of_another_gate"
	senderTokenIsQuoted      Diagnosis = "sender_token_is_quoted"
	senderTokenHasWhiteSpace Diagnosis = "sender_token_has_white_space"
	senderHasNoToken         Diagnosis = "sender_has_no_token"
	senderSignsDeliveries    Diagnosis = "sender_signs_deliveries"
	fieldOfDeliveryIsMissing Diagnosis = "field_of_delivery_is_missing"
)

// Mistakes in the header section.
const (
	signatureIsBase64NotHex       Diagnosis = "signature_is_base64_not_hex"
	signatureIsHexNotBase64       Diagnosis = "signature_is_hex_not_base64"
	signatureIsBase64URLNotBase64 Diagnosis = "signature_is_base64url_not_base64"
	signatureIsBase64NotBase64URL Diagnosis = "signature_is_base64_not_base64url"
	signatureIsBase64OfHex        Diagnosis = "signature_is_base64_of_hex"
	signatureIsRawNotDER          Diagnosis = "signature_is_raw_not_der"
	signatureIsDERNotRaw          Diagnosis = "signature_is_der_not_raw"
	signatureOfAnotherKey         Diagnosis = "signature_of_another_key"
	signatureHasAnotherForm       Diagnosis = "signature_has_another_form"
	signatureLabelIsSpelled       Diagnosis = "signature_label_is_spelled_differently"
	signatureIsQuoted             Diagnosis = "signature_is_quoted"
	signatureTagsDiffer           Diagnosis = "signature_tags_differ"
	signatureInAnotherField       Diagnosis = "signature_in_another_field"
	signedFieldIsMissing          Diagnosis = "signed_field_is_missing"
	algorithmLabelWrong           Diagnosis = "algorithm_label_wrong"
	algorithmNotListed            Diagnosis = "algorithm_not_listed"
	algorithmDiffers              Diagnosis = "algorithm_differs"
	timestampUnitDiffers          Diagnosis = "timestamp_unit_differs"
	timestampIsFraction           Diagnosis = "timestamp_is_fraction"
	timestampHasNoZone            Diagnosis = "timestamp_has_no_zone"
	clockIsOff                    Diagnosis = "clock_is_off"
	urlDiffers                    Diagnosis = "url_differs"
	targetDiffers                 Diagnosis = "target_differs"
	bodyHashDiffers               Diagnosis = "body_hash_differs"
)

// Changes to a body between its signing and the gate.
const (
	bodyIsEmpty               Diagnosis = "body_is_empty"
	methodSendsNoBody         Diagnosis = "method_sends_no_body"
	senderSignedEmptyBody     Diagnosis = "sender_signed_empty_body"
	senderSignedDigestOfBody  Diagnosis = "sender_signed_digest_of_body"
	senderSignedFormPayload   Diagnosis = "sender_signed_form_payload"
	senderSignedSortedJSON    Diagnosis = "sender_signed_sorted_json"
	trailingNewlineWasRemoved Diagnosis = "trailing_newline_was_removed"
	trailingNewlineWasAdded   Diagnosis = "trailing_newline_was_added"
	lineBreaksWereChanged     Diagnosis = "line_breaks_were_changed"
	lineBreaksWereRemoved     Diagnosis = "line_breaks_were_removed"
	byteOrderMarkWasAdded     Diagnosis = "byte_order_mark_was_added"
	charsetWasChanged         Diagnosis = "charset_was_changed"
	bodyWasGzipped            Diagnosis = "body_was_gzipped"
	bodyWasDeflated           Diagnosis = "body_was_deflated"
	jsonWasPrettyPrinted      Diagnosis = "json_was_pretty_printed"
	jsonWasCompacted          Diagnosis = "json_was_compacted"
	jsonSpacingWasChanged     Diagnosis = "json_spacing_was_changed"
	jsonSlashWasUnescaped     Diagnosis = "json_slash_was_unescaped"
	jsonSlashWasEscaped       Diagnosis = "json_slash_was_escaped"
	jsonUnicodeWasUnescaped   Diagnosis = "json_unicode_was_unescaped"
	jsonUnicodeWasEscaped     Diagnosis = "json_unicode_was_escaped"
	jsonEscapesChangedCase    Diagnosis = "json_escapes_changed_case"
	jsonWasReencoded          Diagnosis = "json_was_reencoded"
)

// Reasons why a sender's check was not answered.
const (
	checkIsNotConfigured    Diagnosis = "check_is_not_configured"
	checkHasAnotherMethod   Diagnosis = "check_has_another_method"
	checkNamesWereChanged   Diagnosis = "check_names_were_changed"
	checkLacksParameter     Diagnosis = "check_lacks_parameter"
	checkRepeatsParameter   Diagnosis = "check_repeats_parameter"
	checkAsksNoSubscription Diagnosis = "check_asks_no_subscription"
	checkTokenDiffers       Diagnosis = "check_token_differs"
	checkTopicDiffers       Diagnosis = "check_topic_differs"
	checkTextIsNotEchoed    Diagnosis = "check_text_is_not_echoed"
	checkOriginDiffers      Diagnosis = "check_origin_differs"
	checkAsksForNoRate      Diagnosis = "check_asks_for_no_rate"
	checkBodyDiffers        Diagnosis = "check_body_differs"
	checkBodyIsTooLong      Diagnosis = "check_body_is_too_long"
	checkQueryIsMalformed   Diagnosis = "check_query_is_malformed"
	checkNeedsToken         Diagnosis = "check_needs_token"
)

// unchanged is the cure if a hop changed the body, veryBytes if the sender did.
const (
	unchanged = "let every proxy and relay in front pass the body on unchanged"
	veryBytes = "let the sender sign exactly the bytes that it sends"
	either    = unchanged + ", or " + veryBytes
)

// hints is the closed set, each with its hint for the operator: what is wrong, on whose
// side, and what to do. The arguments are words of closed lists, numbers, names of gates,
// options, and labels of at most maxLabel bytes. An option in backquotes is a line to
// write exactly so; a test does.
var hints = map[Diagnosis]string{ //nolint:gosec // words, no credentials
	Unknown: "No known mistake explains it: the sender has another secret, the body was changed beyond recognition, or the request is forged; " +
		"compare the secret on both sides, then the SHA-256 of the body with what the sender shows.",

	secretHasSurroundingWhitespace: "The gate's secret begins or ends with a blank or a line break, and the sender's does not; remove it from the variable or file.",
	secretHasByteOrderMark:         "The gate's secret was saved as %s, and its first bytes are a byte order mark; save the file as UTF-8 without one.",
	secretIsQuoted:                 "The gate's secret is in quotes, and the sender's is not; remove them from the variable or file.",
	secretNeedsBase64Decode:        "The sender decodes the secret from base64 to get its key, and the gate does not; write `secret_encoding base64`.",
	secretNeedsHexDecode:           "The sender decodes the secret from hex to get its key, and the gate does not; write `secret_encoding hex`.",
	secretNeedsWhsecDecode:         "The sender decodes the secret after whsec_ from base64, and the gate uses its text; write `secret_encoding base64 whsec_`.",
	secretShouldNotBeDecoded:       "The gate decodes the secret, and the sender uses its text; write `%s`, or let the sender decode it.",
	senderSecretEndsWithNewline:    "The sender's secret has %s, and the gate's has not; enter it at the sender again, without that.",
	senderSecretIsQuoted:           "The sender's secret is in %s quotes, and the gate's is not; enter it at the sender again, without them.",
	senderSecretIsEmpty:            "The sender signs with an empty secret, as anyone can; set the secret at the sender.",
	senderKeyIsBase64OfSecret:      "The sender signs with the base64 text of the secret (as a Kubernetes Secret shows it); let the sender decode it, or give the gate that text as its secret.",
	senderKeyIsHexOfSecret:         "The sender signs with the hex text of the secret; let the sender decode it, or give the gate that text as its secret.",
	secretLacksWhsec:               "The sender's key is the secret with whsec_ in front, as it shows it; put whsec_ in front of the gate's secret.",
	senderHasNoSecret:              "The delivery is from %s, which signs nothing until its webhook has a secret; give the webhook the same secret as the gate.",
	senderSendsToken:               "The delivery is from %s, which sends a token and no signature; write %s.",
	senderIsNotVerified:            "The delivery is from %s, and the gate cannot verify what it sends; %s.",
	signedWithAnotherGatesSecret:   "The delivery is signed with the secret of the gate %q; give the sender the URL of that gate, or the secret of this one.",
	signedWithAnotherGatesKey:      "The delivery is signed with the key of the gate %q; give the sender the URL of that gate, or this gate the public key of this sender.",
	keyIsUnknown:                   "The field %s names a key that the gate does not have: the sender has a new one, or the key has another name here; add it as public_key, with the name that the sender gives it.",
	keyHasAnotherName:              "The delivery is signed with the public key %q, which the sender calls by another name; write that name in front of the key.",
	meantForAnotherGate:            "The gate %q would accept this delivery; give the sender the URL of that gate, or check the matchers of the routes.",

	tokenIsQuoted:            "The gate's token is in quotes, and the sender's is not; remove them from the variable or file.",
	tokenIsBase64:            "The gate's token is the base64 text of the sender's (as a Kubernetes Secret shows it); give the gate the text that it stands for.",
	tokenHasAnotherForm:      "The sender writes the token in another form than the gate expects; write %s, or let the sender write it as the gate expects.",
	tokenCaseDiffers:         "The sender's token, or the word in front of it, differs from the gate's in capital and small letters; enter the same text on both sides.",
	tokenInAnotherField:      "The request has no token in the field that the gate reads, but the right one in %s; write %s, or let the sender write it where the gate reads it.",
	tokenOfAnotherGate:       "The token is that of the gate %q; give the sender the URL of that gate, or the token of this one.",
	senderTokenIsQuoted:      "The sender puts the token in quotes; enter it at the sender again, without them.",
	senderTokenHasWhiteSpace: "The sender's token has white space or a line break too much, perhaps one that is written out, such as \\n; enter it at the sender again, without that.",
	senderHasNoToken:         "The field %s is empty: the sender has no token; set it at the sender.",
	senderSignsDeliveries:    "The request has no token, but the sender signs it in %s; write %s with secret instead of token.",
	fieldOfDeliveryIsMissing: "The request has a token, but not exactly one %s, by which payload tells deliveries apart; look for a proxy that changes the field, or name another field in payload.",

	signatureIsBase64NotHex:       "The sender writes the digest in base64, and the gate expects hex; write %s.",
	signatureIsHexNotBase64:       "The sender writes the digest in hex, and the gate expects base64; write %s.",
	signatureIsBase64URLNotBase64: "The sender writes the digest in base64url, and the gate expects base64; write %s.",
	signatureIsBase64NotBase64URL: "The sender writes the digest in base64, and the gate expects base64url; write %s.",
	signatureIsBase64OfHex:        "The sender writes the hex digits of the digest in base64; let it send the hex digits, or the base64 of the digest's bytes, as the gate expects.",
	signatureIsRawNotDER:          "The sender writes an ECDSA signature as its two numbers, and the gate expects DER; write %s.",
	signatureIsDERNotRaw:          "The sender writes an ECDSA signature in DER, and the gate expects its two numbers; write %s.",
	signatureOfAnotherKey:         "The signature has the form of %s, and the gate verifies %s; take the algorithm and the public key from the sender's settings again.",
	signatureHasAnotherForm:       "The sender writes the signature in another form than the gate expects; write %s, or use the sender's preset.",
	signatureLabelIsSpelled:       "The sender writes the label in front of the digest as %q; let it write %q, or write %s.",
	signatureIsQuoted:             "The sender puts the signature, or the digest in it, in quotes; let it send the value without them.",
	signatureTagsDiffer:           "No item of the signature has the tag %q, which the gate expects; the items that came have %s; write `signature` with the tag that the sender documents%s.",
	signatureInAnotherField:       "The request has no signature in a field that the gate reads, but it has %s; write %s.%s",
	signedFieldIsMissing:          "The request has a signature, but no %s, which is signed with the body; look for a proxy that removes the field, or let the sender send it.",
	algorithmLabelWrong:           "The sender labels its digest %s, and it is one of %s; correct the label or the algorithm at the sender.",
	algorithmNotListed:            "The sender signs with %s, which `algorithms` does not list; let the sender sign with %s, or write %s.",
	algorithmDiffers:              "The sender's digest is one of %s, and the gate expects %s; write %s, or let the sender sign with %[2]s.",
	timestampUnitDiffers:          "The sender writes the time in another unit than the gate expects; write %s.",
	timestampIsFraction:           "The sender writes the time with a fraction of a second, and the gate takes whole %s; let the sender cut the fraction off before it signs.%s",
	timestampHasNoZone: "The sender writes the date without its time zone, or with a comma, so that it could run into what is signed after it; " +
		"let the sender end it with Z.%s",
	clockIsOff: "The time of signing is %d seconds in the %s, and the gate allows %d; set the clocks on both sides by NTP, " +
		"unless the delivery was delayed or is an old one sent again.%s",
	urlDiffers:      "The sender signs its URL %s; write it in `public_url` exactly as the sender has it.",
	targetDiffers:   "The sender signed the path and query %s, and they arrived otherwise; let every proxy in front pass them on unchanged, and give the sender the URL as it arrives here.",
	bodyHashDiffers: "The sender signs %s, and the payload has %s; write %s.",

	bodyIsEmpty:               "The body is empty, and no sender signs that on purpose; a redirect or a slash clean-up lost it, so give the sender the final URL.",
	methodSendsNoBody:         "The delivery is a %s without a body, and the sender signs a body that it does not send with this method; set the method to POST at the sender, or give it the final URL if a redirect turned POST into GET.",
	senderSignedEmptyBody:     "The sender signed an empty body, and sent another; " + veryBytes + ".",
	senderSignedDigestOfBody:  "The sender signed a digest of the body (%s) instead of the body; let it sign the body itself%s.",
	senderSignedFormPayload:   "The sender signed the decoded value of the form's payload field, and sent the form; choose application/json at the sender, or let it sign the whole body.",
	senderSignedSortedJSON:    "The sender signed the JSON with its keys sorted (%s), and sent it in another order; " + veryBytes + ".",
	trailingNewlineWasRemoved: "The sender signed a line break at the end of the body, which did not arrive; with curl write --data-binary instead of -d, otherwise " + unchanged + ".",
	trailingNewlineWasAdded:   "The body arrived with a line break at its end, which the sender did not sign; in a shell write printf %%s instead of echo, otherwise " + unchanged + ".",
	lineBreaksWereChanged:     "The line breaks of the body were changed after signing: the sender signed %s; " + unchanged + ", and use no text mode.",
	lineBreaksWereRemoved:     "The sender signed a body with line breaks, which did not arrive; with curl write --data-binary instead of -d, otherwise " + unchanged + ".",
	byteOrderMarkWasAdded:     "A byte order mark was put in front of the body after signing; let the sender write UTF-8 without one, and " + unchanged + ".",
	charsetWasChanged:         "The sender signed the body in %s, and it arrived in another charset; " + veryBytes + ", and " + unchanged + ".",
	bodyWasGzipped:            "The body was compressed with gzip after signing; " + unchanged + ", or let the sender sign what it compresses.",
	bodyWasDeflated:           "The body was compressed with deflate after signing; " + unchanged + ", or let the sender sign what it compresses.",
	jsonWasPrettyPrinted:      "The sender signed the JSON without white space, and it arrived with white space; " + either + ".",
	jsonWasCompacted:          "The sender signed the JSON indented by %s, and it arrived without line breaks; " + either + ".",
	jsonSpacingWasChanged:     "The sender signed the JSON with other white space (%s) than it arrived with; " + either + ".",
	jsonSlashWasUnescaped:     "The sender signed the JSON with slashes written \\/ (as PHP does), and they arrived as /; " + either + ".",
	jsonSlashWasEscaped:       "The sender signed the JSON with slashes written /, and they arrived as \\/ (as PHP writes them); " + either + ".",
	jsonUnicodeWasUnescaped:   "The sender signed the JSON with %s, and they arrived as characters; " + either + ".",
	jsonUnicodeWasEscaped:     "The sender signed the JSON with plain characters, and they arrived as \\u escapes; " + either + ".",
	jsonEscapesChangedCase:    "The sender signed the JSON with the digits of its \\u escapes in %s case, and they arrived in the other; " + either + ".",
	jsonWasReencoded:          "The JSON was decoded and encoded again after signing: the sender signed it %s; " + either + ".",

	checkIsNotConfigured:    "This is the check that %s makes before it delivers, and the gate does not answer it; %s.",
	checkHasAnotherMethod:   "This is the check of `challenge %s`, but it came as %s, and the gate answers it only for %s; look for a proxy that changes the method.",
	checkNamesWereChanged:   "The parameters of this check arrived as hub_mode instead of hub.mode; something in front replaced the dots in the query, so let it pass the query on unchanged.",
	checkLacksParameter:     "This check has no %s; look for a proxy or a redirect that shortens the query.",
	checkRepeatsParameter:   "This check has %s more than once; look for a proxy that adds to the query, or a callback URL that holds the parameter itself.",
	checkAsksNoSubscription: "hub.mode is not subscribe, and the gate confirms nothing else, so that nobody can end a subscription by asking.",
	checkTokenDiffers:       "%s is not the token of `challenge %s`; write the same text at the sender and in the configuration.",
	checkTopicDiffers:       "hub.topic is not a topic of `challenge websub`; write the topic there exactly as the hub sends it.",
	checkOriginDiffers:      "WebHook-Request-Origin is not an origin of `challenge cloudevents`; if you expect deliveries from it, write the origin there exactly as the sender sends it.",
	checkAsksForNoRate:      "WebHook-Request-Rate of this check is not one positive number; look for a proxy that changes the fields.",
	checkBodyDiffers:        "The body of this check is not one SubscriptionValidationEvent with a validationCode that the gate sends back; look for a proxy that changes bodies.",
	checkBodyIsTooLong:      "This check announces a body of more than %d bytes, or does not say how long it is, and the gate answers neither; look for a proxy that sends bodies in chunks.",
	checkQueryIsMalformed:   "The query of this check has a broken percent code or a semicolon in it; look for a proxy that changes the query.",
	checkNeedsToken:         "The gate has a token, and answers this check only with the token in %s; let the sender send it with the check too.",
	checkTextIsNotEchoed:    "The text to send back is longer than %s, or has characters that the gate does not send back to a stranger; answer this check in front of the gate.",
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

// finding fills in the hint.
func finding(d Diagnosis, args ...any) Finding {
	return Finding{Diagnosis: d, Hint: fmt.Sprintf(hints[d], args...)}
}
