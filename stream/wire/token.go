package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// MaxToken is the greatest length of a token.
const MaxToken = 32

// CheckToken returns an error that names field unless s is a token: 1 to 32 of the characters a-z, 0-9 and '-'. Sites,
// cells, devices, takes and releases are tokens.
func CheckToken(field, s string) error {
	if isToken(s) {
		return nil
	}
	return fmt.Errorf("%s: %s is not a token: expected 1 to %d of the characters a-z, 0-9 and '-'", field, quote(s), MaxToken)
}

// Token makes a token of any text, such as a file's name: the text itself where it is one, else its lower-case letters
// and digits joined by '-' and ended by six hex digits of the text's hash, so that different texts give different tokens.
func Token(text string) string {
	if isToken(text) {
		return text
	}
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case isTokenByte(r) && r != '-':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	hash := sha256.Sum256([]byte(text))
	tail := hex.EncodeToString(hash[:3])
	head := b.String()
	head = strings.Trim(head[:min(len(head), MaxToken-len(tail)-1)], "-")
	if head == "" {
		return tail
	}
	return head + "-" + tail
}

// MessageID is the id under which a batch is published: the same batch sent again is a duplicate by construction. Device
// names are therefore unique on a hub, and takes on a device.
func MessageID(device, take string, firstSeq uint64) string {
	b := make([]byte, 0, len(device)+len(take)+22)
	b = append(b, device...)
	b = append(b, '/')
	b = append(b, take...)
	b = append(b, '/')
	return string(strconv.AppendUint(b, firstSeq, 10))
}

// ID is the batch's MessageID.
func (b *SampleBatch) ID() string { return MessageID(b.GetDevice(), b.GetTake(), b.GetFirstSeq()) }

// ID is the MessageID of the batch's ego samples.
func (p *PairBatch) ID() string { return p.GetEgo().ID() }

// ID is the MessageID of the segment's first sample, followed by the revision.
func (e *SegmentEvent) ID() string {
	return MessageID(e.GetDevice(), e.GetTake(), e.GetFirstSeq()) + "/" + strconv.FormatUint(uint64(e.GetRevision()), 10)
}

// CheckDigest returns an error that names field unless s is a SHA-256 digest as 64 lower-case hex digits.
func CheckDigest(field, s string) error {
	if len(s) == 2*sha256.Size {
		if strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }) < 0 {
			return nil
		}
	}
	return fmt.Errorf("%s: %s is not a digest: expected %d lower-case hex digits", field, quote(s), 2*sha256.Size)
}

func isToken(s string) bool {
	if len(s) < 1 || len(s) > MaxToken {
		return false
	}
	for _, r := range s {
		if !isTokenByte(r) {
			return false
		}
	}
	return true
}

func isTokenByte(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-'
}

// OneLine makes a text that a message's one-line fields take, such as Status.error: line breaks and other control
// characters become spaces, bytes that aren't UTF-8 go, and what is beyond MaxText is cut off and marked by "…".
func OneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), unicode.IsControl), " ")
	const mark = "…"
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText-len(mark)], "") + mark
	}
	return s
}

// quote shows a text from outside on one line of bounded length.
func quote(s string) string {
	const most = 48
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return strconv.Quote(s)
}
