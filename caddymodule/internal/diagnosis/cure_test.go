package diagnosis_test

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A situation is everything that decides whether a delivery is accepted.
type situation struct {
	scheme   signature.Scheme
	texts    []string
	delivery *signature.Delivery
	body     string
}

// verdict asks the judge.
func (s situation) verdict(t *testing.T) error {
	t.Helper()
	v, err := signature.New(s.scheme, secrets(s.texts...))
	if err != nil {
		t.Fatalf("it does not load: %v", err)
	}
	check, err := v.Begin(s.delivery)
	if err != nil {
		return err
	}
	check.Write([]byte(s.body))
	_, err = check.End(text(s.body))
	return err
}

// wantCured does what the hint says and asks the judge again, who must accept.
func (f *faulty) wantCured(t *testing.T, found diagnosis.Finding, texts []string) {
	t.Helper()
	now := situation{f.scheme, texts, f.delivery(), f.body}
	cures := configured(t, now, found.Hint)
	for _, cure := range curesOf[found.Diagnosis] {
		cures = append(cures, cure(f, now, found.Hint))
	}
	if len(cures) == 0 {
		t.Errorf("there is no cure in %s", found.Hint)
	}
	for _, cured := range cures {
		if err := cured.verdict(t); err != nil {
			t.Errorf("%s: the cure does not help: %v; %+v", found.Hint, err, cured.scheme)
		}
	}
}

// option matches a line of the configuration in a hint.
var option = regexp.MustCompile("`(\\w+) ([^`]+)`")

// configured applies the options of a hint, each alternative of an "or" by itself.
func configured(t *testing.T, now situation, hint string) (cures []situation) {
	t.Helper()
	for _, way := range regexp.MustCompile(`,? or |; `).Split(hint, -1) {
		changed, any := now, false
		for _, line := range option.FindAllStringSubmatch(way, -1) {
			any = true
			changed.scheme = apply(t, changed.scheme, line[1], line[2])
		}
		if any {
			changed.texts = slices.DeleteFunc(slices.Clone(now.texts), func(text string) bool { // decoys that do not decode
				_, err := signature.New(changed.scheme, secrets(text))
				return err != nil
			})
			cures = append(cures, changed)
		}
	}
	return cures
}

// apply does what the Caddyfile does with a line.
func apply(t *testing.T, s signature.Scheme, name, value string) signature.Scheme {
	t.Helper()
	if plain, err := strconv.Unquote(value); err == nil {
		value = plain
	}
	words := strings.Fields(value)
	own := signature.Scheme{}
	switch name {
	case "webhook_auth":
		return preset(value)
	case "header":
		own.Headers = words
	case "signature":
		own.Signature = value
	case "payload":
		own.Payload = value
	case "algorithms":
		own.Algorithms = words
	case "timestamp":
		own.Timestamp, own.TimestampUnit = words[0], words[1]
	case "secret_encoding":
		own.SecretEncoding, own.SecretPrefix, _ = strings.Cut(value, " ")
		s.SecretPrefix = ""
	default:
		t.Fatalf("unknown option %s", name)
	}
	return own.Or(s)
}

// curesOf lists what to do besides the options that a hint names.
var curesOf = map[diagnosis.Diagnosis][]func(*faulty, situation, string) situation{
	"secret_has_surrounding_whitespace":      {gateHasSendersSecret},
	"secret_has_byte_order_mark":             {gateHasSendersSecret},
	"secret_is_quoted":                       {gateHasSendersSecret},
	"sender_secret_ends_with_newline":        {senderSignsAgain},
	"signature_is_base64_of_hex":             {senderSignsAgain},
	"secret_lacks_whsec":                     {gateHasSendersSecret},
	"sender_secret_is_quoted":                {senderSignsAgain},
	"sender_secret_is_empty":                 {senderSignsAgain},
	"sender_key_is_base64_of_secret":         {senderSignsAgain, gateHasSendersSecret},
	"sender_key_is_hex_of_secret":            {senderSignsAgain, gateHasSendersSecret},
	"signed_with_another_gates_secret":       {senderSignsAgain},
	"meant_for_another_gate":                 {otherGateGetsIt},
	"signature_label_is_spelled_differently": {senderSignsAgain},
	"signature_is_quoted":                    {senderSignsAgain},
	"algorithm_label_wrong":                  {senderSignsAgain},
	"algorithm_not_listed":                   {senderSignsAgain},
	"algorithm_differs":                      {senderSignsAgain},
	"timestamp_is_fraction":                  {senderSignsAgain},
	"timestamp_has_no_zone":                  {senderSignsAgain},
	"clock_is_off":                           {clockIsSet},
	"url_differs":                            {urlIsTheSenders},
	"target_differs":                         {targetArrivesAsSigned},
	"body_is_empty":                          {bodyArrivesAsSigned},
	"method_sends_no_body":                   {bodyArrivesByPost},
	"sender_signed_empty_body":               {senderSignsAgain},
	"sender_signed_digest_of_body":           {senderSignsAgain},
	"sender_signed_form_payload":             {senderSignsAgain, bodyArrivesAsSigned},
	"sender_signed_sorted_json":              {senderSignsAgain, bodyArrivesAsSigned},
	"trailing_newline_was_removed":           {bodyArrivesAsSigned},
	"trailing_newline_was_added":             {bodyArrivesAsSigned},
	"line_breaks_were_changed":               {bodyArrivesAsSigned},
	"line_breaks_were_removed":               {bodyArrivesAsSigned},
	"byte_order_mark_was_added":              {bodyArrivesAsSigned},
	"charset_was_changed":                    {senderSignsAgain, bodyArrivesAsSigned},
	"body_was_gzipped":                       {bodyArrivesAsSigned, senderSignsAgain},
	"body_was_deflated":                      {bodyArrivesAsSigned, senderSignsAgain},
	"json_was_pretty_printed":                {bodyArrivesAsSigned, senderSignsAgain},
	"json_was_compacted":                     {bodyArrivesAsSigned, senderSignsAgain},
	"json_spacing_was_changed":               {bodyArrivesAsSigned, senderSignsAgain},
	"json_slash_was_unescaped":               {bodyArrivesAsSigned, senderSignsAgain},
	"json_slash_was_escaped":                 {bodyArrivesAsSigned, senderSignsAgain},
	"json_unicode_was_unescaped":             {bodyArrivesAsSigned, senderSignsAgain},
	"json_unicode_was_escaped":               {bodyArrivesAsSigned, senderSignsAgain},
	"json_escapes_changed_case":              {bodyArrivesAsSigned, senderSignsAgain},
	"json_was_reencoded":                     {bodyArrivesAsSigned, senderSignsAgain},
}

// gateHasSendersSecret gives the gate the secret as the sender has it.
func gateHasSendersSecret(f *faulty, s situation, _ string) situation {
	s.texts = append([]string{f.key}, s.texts...)[:2]
	return s
}

// senderSignsAgain lets the sender sign as the gate expects.
func senderSignsAgain(f *faulty, s situation, _ string) situation {
	s.delivery = signedBy(s.scheme, cmp.Or(f.secret, secret), s.body)
	return s
}

// bodyArrivesAsSigned removes the hop that changes the body.
func bodyArrivesAsSigned(f *faulty, s situation, _ string) situation {
	s.body = f.signed
	return s
}

func bodyArrivesByPost(f *faulty, s situation, hint string) situation {
	s.delivery.Method = http.MethodPost
	return bodyArrivesAsSigned(f, s, hint)
}

func otherGateGetsIt(f *faulty, s situation, _ string) situation {
	return situation{f.meant, []string{decoy + "1"}, s.delivery, s.body}
}

func urlIsTheSenders(f *faulty, s situation, _ string) situation {
	s.delivery.URL = f.signedURL
	return s
}

// targetArrivesAsSigned removes the hop that changes the path.
func targetArrivesAsSigned(f *faulty, s situation, _ string) situation {
	s.delivery.Target = f.signedTarget
	return s
}

// clockIsSet sets the clock by as many seconds as the hint says.
func clockIsSet(_ *faulty, s situation, hint string) situation {
	m := regexp.MustCompile(`is (\d+) seconds in the (past|future)`).FindStringSubmatch(hint)
	seconds, _ := strconv.Atoi(m[1])
	if m[2] == "past" {
		seconds = -seconds
	}
	s.delivery.Now = s.delivery.Now.Add(time.Duration(seconds) * time.Second)
	return s
}
