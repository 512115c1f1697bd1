package bus

import (
	"strings"
	"testing"
)

func TestSubjectRoundTrip(t *testing.T) {
	for _, k := range []Kind{Teacher, Segments, Pairs, Status} {
		want := Subject{Site: "plant-1", Cell: "c1", Device: "exo-2", Kind: k}
		got, err := ParseSubject(want.String())
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", want, got, err)
		}
		if k.Stream() != strings.ToUpper(string(k)) {
			t.Errorf("%s goes to stream %q", k, k.Stream())
		}
	}
	if got := (Subject{Cell: "c1", Kind: Pairs}).String(); got != "tandem.v1.*.c1.*.pairs" {
		t.Errorf("filter: got %s", got)
	}
}

func TestIllegalTokensNameTheField(t *testing.T) {
	long := strings.Repeat("a", 33)
	for _, c := range []struct {
		s    Subject
		want string
	}{
		{Subject{"", "c1", "d", Pairs}, "site: \"\" is not a token"},
		{Subject{"p", "C1", "d", Pairs}, "cell: \"C1\" is not a token"},
		{Subject{"p", "c.1", "d", Pairs}, "cell: \"c.1\" is not a token"},
		{Subject{"p", "c1", "d*", Pairs}, "device: \"d*\" is not a token"},
		{Subject{"p", "c1", "dé", Pairs}, "device: \"dé\" is not a token"},
		{Subject{"p", "c1", long, Pairs}, "device: \"" + long + "\" is not a token: expected 1 to 32"},
		{Subject{"p", "c1", "d", "video"}, "kind: \"video\" is unknown"},
	} {
		err := c.s.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.s, err, c.want)
		}
	}
	for _, text := range []string{"", "tandem.v1.a.b.c", "tandem.v2.a.b.c.pairs", "tandem.v1.a.b.c.d.pairs", "tandem.v1.*.b.c.pairs", "tandem.v1.a.b.>.pairs"} {
		if s, err := ParseSubject(text); err == nil {
			t.Errorf("%q was read as %+v", text, s)
		}
	}
}

func FuzzParseSubject(f *testing.F) {
	f.Add("tandem.v1.site.cell.device.pairs")
	f.Add("tandem.v1.*.cell.>.status")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSubject(text); err == nil && s.String() != text {
			t.Fatalf("%q became %q", text, s)
		}
	})
}
