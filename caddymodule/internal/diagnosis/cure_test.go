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

// A situation is all that decides whether a delivery is accepted.
type situation struct {
	scheme   signature.Scheme
	texts    []string
	delivery *signature.Delivery
	body     string
}

func (s situation) verdict(t *testing.T) error {
	t.Helper()
	v, err := signature.New(s.scheme, secrets(s.texts...))
	if err != nil {
		t.Errorf("it does not load: %v", err)
		return nil
	}
	check, err := v.Begin(s.delivery)
	if err != nil {
		return err
	}
	check.Write([]byte(s.body))
	_, err = check.End(text(s.body))
	return err
}

// wantCured does what the hint says, and asks the judge again: a hint that is followed
// leads to acceptance.
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

// option is a line of the configuration in a hint.
var option = regexp.MustCompile("`(\\w+) ([^`]+)`")

// configured applies the options of a hint; what is joined by "or" is another way.
func configured(t *testing.T, now situation, hint string) (cures []situation) {
	t.Helper()
	for _, way := range regexp.MustCompile(`,? or |; `).Split(hint, -1) {
		changed, any := now, false
		for _, line := range option.FindAllStringSubmatch(way, -1) {
			any = true
			changed.scheme = apply(t, changed.scheme, line[1], line[2])
		}
		if any {
			changed.texts = slices.DeleteFunc(slices.Clone(now.texts), func(text string) bool { // the decoys, where a key is to be decoded
				_, err := signature.New(changed.scheme, secrets(text))
				return err != nil
			})
			cures = append(cures, changed)
		}
	}
	return cures
}

// apply is what the Caddyfile does with a line.
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
	case "algorithms":
		own.Algorithms = words
	case "timestamp":
		own.Timestamp, own.TimestampUnit = words[0], words[1]
	case "secret_encoding":
		own.SecretEncoding, own.SecretPrefix, _ = strings.Cut(value, " ")
		s.SecretPrefix = ""
	default:
		t.Fatalf("there is no option %s", name)
	}
	return own.Or(s)
}

// curesOf is what to do where the hint names no option.
var curesOf = map[diagnosis.Diagnosis][]func(*faulty, situation, string) situation{
	diagnosis.SecretHasSurroundingWhitespace: {gateHasSendersSecret},
	diagnosis.SecretHasByteOrderMark:         {gateHasSendersSecret},
	diagnosis.SecretIsQuoted:                 {gateHasSendersSecret},
	diagnosis.SenderSecretEndsWithNewline:    {senderSignsAgain},
	diagnosis.SenderSecretIsQuoted:           {senderSignsAgain},
	diagnosis.SenderSecretIsEmpty:            {senderSignsAgain},
	diagnosis.SenderKeyIsBase64OfSecret:      {senderSignsAgain, gateHasSendersSecret},
	diagnosis.SenderKeyIsHexOfSecret:         {senderSignsAgain, gateHasSendersSecret},
	diagnosis.SignedWithAnotherGatesSecret:   {senderSignsAgain},
	diagnosis.MeantForAnotherGate:            {otherGateGetsIt},
	diagnosis.SignatureLabelIsSpelled:        {senderSignsAgain},
	diagnosis.SignatureIsQuoted:              {senderSignsAgain},
	diagnosis.AlgorithmLabelWrong:            {senderSignsAgain},
	diagnosis.AlgorithmNotListed:             {senderSignsAgain},
	diagnosis.AlgorithmDiffers:               {senderSignsAgain},
	diagnosis.TimestampIsFraction:            {senderSignsAgain},
	diagnosis.TimestampHasNoZone:             {senderSignsAgain},
	diagnosis.ClockIsOff:                     {clockIsSet},
	diagnosis.URLDiffers:                     {urlIsTheSenders},
	diagnosis.BodyIsEmpty:                    {bodyArrivesAsSigned},
	diagnosis.MethodSendsNoBody:              {bodyArrivesByPost},
	diagnosis.SenderSignedEmptyBody:          {senderSignsAgain},
	diagnosis.SenderSignedDigestOfBody:       {senderSignsAgain},
	diagnosis.SenderSignedFormPayload:        {senderSignsAgain, bodyArrivesAsSigned},
	diagnosis.SenderSignedSortedJSON:         {senderSignsAgain, bodyArrivesAsSigned},
	diagnosis.TrailingNewlineWasRemoved:      {bodyArrivesAsSigned},
	diagnosis.TrailingNewlineWasAdded:        {bodyArrivesAsSigned},
	diagnosis.LineBreaksWereChanged:          {bodyArrivesAsSigned},
	diagnosis.LineBreaksWereRemoved:          {bodyArrivesAsSigned},
	diagnosis.ByteOrderMarkWasAdded:          {bodyArrivesAsSigned},
	diagnosis.CharsetWasChanged:              {senderSignsAgain, bodyArrivesAsSigned},
	diagnosis.BodyWasGzipped:                 {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.BodyWasDeflated:                {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONWasPrettyPrinted:           {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONWasCompacted:               {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONSpacingWasChanged:          {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONSlashWasUnescaped:          {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONSlashWasEscaped:            {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONUnicodeWasUnescaped:        {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONUnicodeWasEscaped:          {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONEscapesChangedCase:         {bodyArrivesAsSigned, senderSignsAgain},
	diagnosis.JSONWasReencoded:               {bodyArrivesAsSigned, senderSignsAgain},
}

// gateHasSendersSecret is the gate with its secret as the sender has it.
func gateHasSendersSecret(f *faulty, s situation, _ string) situation {
	s.texts = append([]string{f.key}, s.texts...)[:2]
	return s
}

// senderSignsAgain is the sender that does everything as the gate expects it.
func senderSignsAgain(f *faulty, s situation, _ string) situation {
	s.delivery = signedBy(s.scheme, cmp.Or(f.secret, secret), s.body)
	return s
}

// bodyArrivesAsSigned is no hop that changes it.
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

// clockIsSet by as many seconds as the hint says.
func clockIsSet(_ *faulty, s situation, hint string) situation {
	m := regexp.MustCompile(`is (\d+) seconds in the (past|future)`).FindStringSubmatch(hint)
	seconds, _ := strconv.Atoi(m[1])
	if m[2] == "past" {
		seconds = -seconds
	}
	s.delivery.Now = s.delivery.Now.Add(time.Duration(seconds) * time.Second)
	return s
}
